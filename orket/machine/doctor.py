"""`orket doctor`: is this machine fit to measure on? It looks, and changes nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from orket.machine.findings import OK, UNFIT, UNKNOWN, WARN, Finding
from orket.machine.live_checks import check_sample, take_sample
from orket.machine.observer import Observer
from orket.machine.readings import is_folder
from orket.machine.settings_checks import (
    check_clock,
    check_container,
    check_cpus,
    check_governor,
    check_heat,
    check_memory,
    check_power,
    check_turbo,
)
from orket.machine.topology import read_allowed_cpus
from orket.records import Policy

__all__ = ["Finding", "examine"]

SAMPLE_SECONDS = 1.0
ENGINE_TIMEOUT_SECONDS = 20
EMBEDDED_PACKAGE = "xllamacpp"
_ENGINE_REPORT = "import xllamacpp; print(xllamacpp.get_system_info())"


def examine(
    root: Path = Path("/"), sample_seconds: float = SAMPLE_SECONDS
) -> list[Finding]:
    """Everything that decides how well this machine measures, the live part first."""
    allowed = read_allowed_cpus() if root == Path("/") else None
    cpus = len(allowed) if allowed else _count_cpus()
    with Observer(root) as observer:
        observer.attach((), "loopback")
        sample = take_sample(observer, sample_seconds)
    findings = check_sample(sample, Policy(), cpus)
    if is_folder(root / "sys/devices/system/cpu"):
        findings += [
            check_cpus(root, allowed),
            check_governor(root),
            check_turbo(root),
            check_heat(root),
            check_power(root),
            *check_container(root),
            *check_memory(root),
            check_clock(root),
        ]
    else:
        findings += check_portable(sample.closed.on_battery, cpus)
    findings.append(check_engine())
    return findings


def _count_cpus() -> int:
    import psutil

    return int(psutil.cpu_count() or 1)


def check_portable(on_battery: bool | None, cpus: int) -> list[Finding]:
    """What is left where there is neither /proc nor /sys."""
    findings = [
        Finding(
            "governor", UNKNOWN, "CPU frequency governor", f"not read on {sys.platform}"
        )
    ]
    if on_battery:
        findings.append(
            Finding("power", WARN, "Power", "on battery: held back", "plug it in")
        )
    else:
        findings.append(Finding("power", OK, "Power", "mains"))
    findings.append(Finding("cpus", OK, "CPUs", str(cpus)))
    return findings


def check_engine() -> Finding:
    """The embedded engine: is it there, which one, and does it run on this CPU?

    It is asked in a process of its own: an engine built for another CPU would end
    this one.
    """
    title = "Embedded engine"
    try:
        version = metadata.version(EMBEDDED_PACKAGE)
    except metadata.PackageNotFoundError:
        return _check_binary(title)
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ENGINE_REPORT],
            capture_output=True,
            text=True,
            timeout=ENGINE_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _engine_fails(title, version, str(error))
    if asked.returncode != 0:
        last = (asked.stderr.strip().splitlines() or [f"exit {asked.returncode}"])[-1]
        return _engine_fails(title, version, last)
    features = re.findall(r"(\w+) = 1", asked.stdout)
    detail = f"{EMBEDDED_PACKAGE} {version}, built with {' '.join(features)}"
    return Finding("engine", OK, title, detail)


def _engine_fails(title: str, version: str, why: str) -> Finding:
    return Finding(
        "engine",
        UNFIT,
        title,
        f"{EMBEDDED_PACKAGE} {version} does not run here: {why}",
        "name a llama-server of your own with --engine",
    )


def _check_binary(title: str) -> Finding:
    binary = shutil.which("llama-server")
    if binary is not None:
        return Finding("engine", OK, title, f"no wheel; llama-server at {binary}")
    return Finding(
        "engine",
        WARN,
        title,
        "neither the wheel nor a llama-server on PATH",
        'pip install "orket[embedded]", or put llama-server on PATH; other servers '
        "need neither",
    )
