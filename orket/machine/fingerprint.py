"""The hardware fingerprint: one short id for "the same machine".

It is made of what decides speed and stays: operating system family, architecture, CPU
model, cores, memory, GPUs and the CPU quota of a container. Kernel, host name, settings
and everything else that changes stands beside it, in `Hardware.environment`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from orket.machine.cgroups import read_quota_milli
from orket.machine.environment import read_environment
from orket.machine.gpu import list_gpus, read_gpu_memory
from orket.machine.readings import is_there, read_text
from orket.machine.topology import read_cores
from orket.records import Hardware

FINGERPRINT_VERSION = "hw1"
GIB = 1 << 30
MIN_GRID_BYTES = GIB // 8


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Who this machine is."""

    id: str
    """`hw1-` and 16 hexadecimal digits."""
    version: str
    """The recipe; ids of different recipes are never equal."""
    hardware: Hardware


def read_fingerprint(root: Path = Path("/")) -> Fingerprint:
    """The fingerprint of this machine, or of the recorded one below `root`."""
    hardware = read_hardware(root)
    return Fingerprint(hash_hardware(hardware), FINGERPRINT_VERSION, hardware)


def hash_hardware(hardware: Hardware) -> str:
    """The id of these parts: equal parts, equal id."""
    parts = {
        "os": hardware.os,
        "architecture": hardware.architecture,
        "cpu": hardware.cpu,
        "physical_cores": hardware.physical_cores,
        "logical_cpus": hardware.logical_cpus,
        "ram_bytes": hardware.ram_bytes,
        "gpus": hardware.gpus,
        "cpu_quota_milli": hardware.cpu_quota_milli,
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{FINGERPRINT_VERSION}-{digest[:16]}"


def read_hardware(root: Path = Path("/")) -> Hardware:
    """What the fingerprint is made of; None in a part that cannot be read."""
    linux = is_there(root / "proc/cpuinfo")
    cores = read_cores(root) if linux else {}
    gpu_memory, gpu_status = read_gpu_memory(root)
    return Hardware(
        os="Linux" if linux else platform.system() or None,
        architecture=platform.machine() or None,
        cpu=_read_cpu_model(root),
        physical_cores=len(set(cores.values())) if cores else _count_cores(False),
        logical_cpus=len(cores) if cores else _count_cores(True),
        ram_bytes=_read_ram_bytes(root),
        gpus=list_gpus(root),
        cpu_quota_milli=read_quota_milli(root),
        clock_tick_ns=_read_clock_tick_ns(),
        environment=json.dumps(read_environment(root), sort_keys=True),
        gpu_memory_bytes=gpu_memory,
        gpu_memory_status=gpu_status,
    )


def round_ram_bytes(total_bytes: int) -> int:
    """Usable memory rounded up to the size it was built with.

    Kernel and firmware keep back 1 to 5 %, a little more or less after each update, so
    the grid is an eighth of the power of two below: 23.5 GiB are 24, 62.7 are 64.
    """
    grid_bytes = max(MIN_GRID_BYTES, (1 << (max(total_bytes, 1).bit_length() - 1)) // 8)
    return -(-total_bytes // grid_bytes) * grid_bytes


def _read_ram_bytes(root: Path) -> int | None:
    text = read_text(root / "proc/meminfo")
    if text is not None:
        found = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
        return round_ram_bytes(int(found.group(1)) * 1024) if found else None
    if root != Path("/"):
        return None
    import psutil

    return round_ram_bytes(psutil.virtual_memory().total)


def _read_cpu_model(root: Path) -> str | None:
    text = read_text(root / "proc/cpuinfo")
    if text is None:
        return _read_foreign_cpu_model() if root == Path("/") else None
    for key in ("model name", "cpu model", "Model", "cpu"):
        found = re.search(rf"^{key}\s*: *(\S.*)$", text, re.MULTILINE)
        if found:
            return " ".join(found.group(1).split())
    # Arm kernels tell implementer and part of each core instead of a name.
    implementers = re.findall(r"^CPU implementer\s*: *(\S+)", text, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*: *(\S+)", text, re.MULTILINE)
    kinds = sorted(set(zip(implementers, parts, strict=False)))
    named = [
        f"{implementer}:{part} x{parts.count(part)}" for implementer, part in kinds
    ]
    return "arm " + ", ".join(named) if named else None


def _read_foreign_cpu_model() -> str | None:
    """macOS and Windows."""
    if sys.platform == "darwin":
        import subprocess

        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or None
    return platform.processor() or None


def _count_cores(logical: bool) -> int | None:
    import psutil

    count: int | None = psutil.cpu_count(logical=logical)
    return count


def _read_clock_tick_ns() -> int | None:
    if not hasattr(os, "sysconf"):
        return None
    ticks_per_second = os.sysconf("SC_CLK_TCK")
    return 1_000_000_000 // ticks_per_second if ticks_per_second > 0 else None
