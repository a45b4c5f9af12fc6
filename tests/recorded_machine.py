"""Recorded machines for the tests: a folder with the proc/ and sys/ of one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

SERVER_PID = 4_000_001
"""Above any pid of a real kernel, so that nothing real is ever read for it."""
RUNNER_PID = 4_000_002
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_stat(
    pid: int,
    parent: int,
    name: str = "llama-server",
    *,
    ticks: int = 100,
    faults: int = 0,
    pages: int = 1000,
    state: str = "S",
) -> str:
    """A /proc/<pid>/stat; the user time is `ticks`."""
    fields = ["0"] * 49
    fields[0] = str(parent)
    fields[8] = str(faults)
    fields[10] = str(ticks)
    fields[20] = str(pages)
    return f"{pid} ({name}) {state} {' '.join(fields)}\n"


def process_files(pid: int, parent: int, **figures: object) -> dict[str, str]:
    """The files of one process."""
    return {
        f"proc/{pid}/stat": process_stat(pid, parent, **figures),  # type: ignore[arg-type]
        f"proc/{pid}/status": "Name:\tx\nUid:\t0\t0\t0\t0\nVmHWM:\t    4096 kB\n",
        f"proc/{pid}/cgroup": "0::/system.slice/ollama.service\n",
    }


def laptop_files(cpus: int = 4) -> dict[str, str]:
    """An Intel laptop on mains, two siblings a core, with a server in a cgroup v2."""
    files = {
        "proc/stat": "cpu  1000 10 500 9000 40 5 15 30 200 0\ncpu0 1 2 3\n",
        "proc/loadavg": "0.42 0.50 0.60 1/200 4242\n",
        "proc/vmstat": "nr_free_pages 1\npswpin 7\npswpout 9\npgfault 3\n",
        "proc/meminfo": (
            "MemTotal:       16252928 kB\nMemFree:         1000000 kB\n"
            "MemAvailable:    8000000 kB\nSwapTotal:       2097148 kB\n"
            "SwapFree:        2097148 kB\n"
        ),
        "proc/pressure/cpu": "some avg10=1.00 avg60=0 avg300=0 total=111\n",
        "proc/pressure/memory": (
            "some avg10=0 avg60=0 avg300=0 total=99\n"
            "full avg10=0 avg60=0 avg300=0 total=22\n"
        ),
        "proc/pressure/io": (
            "some avg10=0 avg60=0 avg300=0 total=99\n"
            "full avg10=0 avg60=0 avg300=0 total=33\n"
        ),
        "proc/sys/kernel/osrelease": "6.1.0-20-amd64\n",
        "proc/sys/kernel/hostname": "laptop\n",
        "proc/self/cgroup": "0::/user.slice/session-1.scope\n",
        "proc/self/status": f"Name:\tpython\nCpus_allowed_list:\t0-{cpus - 1}\n",
        "proc/cpuinfo": "".join(
            f"processor\t: {cpu}\nmodel name\t: Intel(R) Core(TM) i7-8650U  CPU @ "
            f"1.90GHz\nmicrocode\t: 0xf6\nphysical id\t: 0\ncore id\t: {cpu % 2}\n"
            "flags\t\t: fpu sse avx2\n\n"
            for cpu in range(cpus)
        ),
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "sys/fs/cgroup/cpu.stat": "usage_usec 1\n",
        "sys/fs/cgroup/user.slice/session-1.scope/cpu.stat": "usage_usec 1\n",
        "sys/fs/cgroup/system.slice/cpu.stat": "usage_usec 1\nthrottled_usec 0\n",
        "sys/fs/cgroup/system.slice/ollama.service/cpu.stat": (
            "usage_usec 5\nnr_periods 3\nnr_throttled 1\nthrottled_usec 44\n"
        ),
        "sys/class/power_supply/AC/type": "Mains\n",
        "sys/class/power_supply/AC/online": "1\n",
        "sys/class/powercap/intel-rapl:0/name": "package-0\n",
        "sys/class/powercap/intel-rapl:0/energy_uj": "5000000\n",
        "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/status": "Full\n",
        "sys/class/drm/card0/device/vendor": "0x8086\n",
        "sys/class/drm/card0/device/device": "0x5917\n",
    }
    for cpu in range(cpus):
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        core = cpu % 2
        files |= {
            f"{folder}/topology/core_id": f"{core}\n",
            f"{folder}/topology/physical_package_id": "0\n",
            f"{folder}/cpufreq/scaling_cur_freq": f"{1_000_000 + cpu * 1000}\n",
            f"{folder}/cpufreq/scaling_governor": "powersave\n",
            f"{folder}/thermal_throttle/core_throttle_count": f"{10 + core}\n",
            f"{folder}/thermal_throttle/core_throttle_total_time_ms": f"{5 + core}\n",
            f"{folder}/thermal_throttle/package_throttle_count": "20\n",
            f"{folder}/thermal_throttle/package_throttle_total_time_ms": "50\n",
        }
    files |= process_files(SERVER_PID, 1, ticks=300, faults=4, pages=2000)
    files |= process_files(RUNNER_PID, SERVER_PID, ticks=700, faults=6, pages=5000)
    return files


def write_machine(root: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a machine, or change some of them in place."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@contextlib.contextmanager
def no_permission(root: Path) -> Iterator[None]:
    """Nothing below `root` can be opened, also when the tests run as root."""
    modes = {path: path.stat().st_mode for path in [root, *root.rglob("*")]}
    user = os.geteuid()
    try:
        for path in modes:
            if not path.is_dir():
                path.chmod(0)
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


BURNER = """
import sys, time
print("ready", flush=True)
sys.stdin.readline()
target = time.process_time() + float(sys.argv[1])
while time.process_time() < target:
    pass
print("burnt", flush=True)
sys.stdin.readline()
"""
"""Burns a given CPU time on a line of input, says so, and ends on the next line."""


def burner_command(cpu_seconds: float) -> list[str]:
    """The command of a burner."""
    return [sys.executable, "-c", BURNER, str(cpu_seconds)]
