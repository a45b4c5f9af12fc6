"""What the machine's GPU tools say before and after a measurement, unread."""

from __future__ import annotations

import shutil
from typing import Any

from orket.sidecars.process import run_program

_TIMEOUT_SECONDS = 20.0

NVIDIA_TOOLS: tuple[tuple[str, ...], ...] = (
    (
        "nvidia-smi",
        "--query-gpu=index,name,driver_version,pstate,temperature.gpu,power.draw,"
        "clocks.sm,clocks.mem,memory.used,memory.total,utilization.gpu",
        "--format=csv",
    ),
)
AMD_TOOLS: tuple[tuple[str, ...], ...] = (
    (
        "rocm-smi",
        "--showproductname",
        "--showdriverversion",
        "--showtemp",
        "--showpower",
        "--showclocks",
        "--showmeminfo",
        "vram",
        "--showuse",
        "--json",
    ),
    ("amd-smi", "metric", "--json"),
)


def has_tool(tools: tuple[tuple[str, ...], ...]) -> bool:
    """Whether one of the tools is on PATH."""
    return any(shutil.which(tool[0]) for tool in tools)


def sample_tools(tools: tuple[tuple[str, ...], ...]) -> list[dict[str, Any]]:
    """The output of each tool that is there, or why it gave none."""
    return [_sample(tool) for tool in tools if shutil.which(tool[0])]


def _sample(tool: tuple[str, ...]) -> dict[str, Any]:
    try:
        done = run_program(tool, _TIMEOUT_SECONDS)
    except OSError as error:
        return {"tool": tool[0], "error": error.strerror or str(error)}
    sample: dict[str, Any] = {"tool": tool[0], "exit_code": done.exit_code}
    if done.exit_code is None:
        sample["error"] = f"no answer within {_TIMEOUT_SECONDS:.0f} s"
    elif done.exit_code != 0:
        sample["error"] = (done.stderr or done.stdout).strip()[:2000]
    else:
        sample["output"] = done.stdout
    return sample
