"""Runs llama-bench on each model file after a matrix, and keeps its raw figures.

A diagnostic: it never ends a sweep and never gates it. What goes wrong is the status
of a row, never a figure of zero.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orket.errors import UsageError
from orket.levels import kv_types
from orket.records import SidecarRow
from orket.sidecars.bench_output import (
    TOOL,
    BadOutput,
    BenchTest,
    measured,
    read_bench_output,
)
from orket.sidecars.process import Finished, run_program
from orket.sidecars.telemetry import AMD_TOOLS, NVIDIA_TOOLS, has_tool, sample_tools
from orket.warehouse.parts import time_ordered_id

SIDECARS = (TOOL,)
"""The sidecars there are, by the name `--sidecar` takes."""

_ALL_LAYERS = "99"
_FLOATS = ("f16", "bf16", "f32")
_MESSAGE_CHARS = 300


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One quant of a model; `path` is None where its file is not on this machine."""

    model_id: str
    quant_tag: str
    path: Path | None
    threads: int | None = None
    """Threads to compute with, as in the sweep; None is the tool's own choice."""
    kv_cache: str | None = None
    """Type of the KV cache, as in the sweep."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How the tool is run on one kind of machine, and which GPU tools are asked."""

    name: str
    gpu_layers: str
    environment: tuple[tuple[str, str], ...] = ()
    tools: tuple[tuple[str, ...], ...] = ()


_PROFILES = {
    # A CUDA or HIP build would still use the GPU for long prompts with no layer on it.
    "cpu": Profile(
        "cpu", "0", (("CUDA_VISIBLE_DEVICES", ""), ("HIP_VISIBLE_DEVICES", "-1"))
    ),
    "nvidia": Profile("nvidia", _ALL_LAYERS, (), NVIDIA_TOOLS),
    "amd": Profile("amd", _ALL_LAYERS, (), AMD_TOOLS),
}
PROFILES = ("auto", *_PROFILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What is asked of llama-bench. The defaults are the tool's own."""

    prompt_tokens: int = 512
    generated_tokens: int = 128
    repetitions: int = 5
    timeout_seconds: float = 900.0
    """For one model file."""


def run_sidecar(
    models: Sequence[ModelFile],
    sweep_id: str,
    *,
    binary: str | Path | None = None,
    profile: str = "auto",
    options: BenchOptions | None = None,
    announce: Callable[[str], None] | None = None,
) -> list[SidecarRow]:
    """Measure every model file in turn; each gives at least one row, with its status.

    `binary` is a name on PATH or a path; None is `llama-bench`. `announce` is told
    each model before it is measured. Raises UsageError for an unknown profile only.
    """
    chosen = choose_profile(profile)
    found = find_binary(binary)
    options = options or BenchOptions()
    rows: list[SidecarRow] = []
    for model in models:
        if announce is not None and found is not None:
            announce(f"{TOOL} on {model.model_id} {model.quant_tag}")
        rows.extend(_measure(model, sweep_id, found, binary, chosen, options))
    return rows


def choose_profile(name: str) -> Profile:
    """The profile of that name; `auto` takes what the machine's GPU tools tell."""
    if name == "auto":
        if has_tool(NVIDIA_TOOLS):
            name = "nvidia"
        else:
            name = "amd" if has_tool(AMD_TOOLS) else "cpu"
    if name not in _PROFILES:
        raise UsageError(
            f"no sidecar profile {name!r}", f"there are: {', '.join(PROFILES)}"
        )
    return _PROFILES[name]


def find_binary(binary: str | Path | None = None) -> str | None:
    """The program to run, or None when it is not there."""
    return shutil.which(str(binary or TOOL))


def _measure(
    model: ModelFile,
    sweep_id: str,
    found: str | None,
    asked: str | Path | None,
    profile: Profile,
    options: BenchOptions,
) -> list[SidecarRow]:
    def failed(status: str, message: str, telemetry: str | None = None) -> SidecarRow:
        facts = {"tool": TOOL, "status": status, "error_message": message}
        return _row(model, sweep_id, profile, telemetry, facts)

    if found is None:
        where = f"{asked} is not a program" if asked else f"no {TOOL} on PATH"
        return [failed("MISSING_BINARY", where)]
    if model.path is None or not model.path.is_file():
        return [failed("FAILED", "the model file is not on this machine")]
    command = _command(found, model.path, model, profile, options)
    before = sample_tools(profile.tools)
    try:
        done = run_program(command, options.timeout_seconds, dict(profile.environment))
    except OSError as error:
        return [failed("FAILED", f"cannot be started: {error.strerror or error}")]
    telemetry = _telemetry(before, sample_tools(profile.tools))
    if done.exit_code is None:
        limit = f"no end within {options.timeout_seconds:g} s"
        return [failed("TIMEOUT", limit, telemetry)]
    if done.exit_code != 0:
        return [failed("FAILED", _why_failed(done), telemetry)]
    try:
        tests = _read_tests(done.stdout)
    except BadOutput as error:
        return [failed("UNPARSEABLE", _one_line(str(error)), telemetry)]
    return [_row(model, sweep_id, profile, telemetry, measured(test)) for test in tests]


def _command(
    program: str,
    path: Path,
    model: ModelFile,
    profile: Profile,
    options: BenchOptions,
) -> list[str]:
    command = [program, "-m", str(path), "-o", "json"]
    command += ["-p", str(options.prompt_tokens), "-n", str(options.generated_tokens)]
    command += ["-r", str(options.repetitions), "-ngl", profile.gpu_layers]
    if model.threads is not None:
        command += ["-t", str(model.threads)]
    if model.kv_cache is not None:
        keys, values = kv_types(model.kv_cache)
        command += ["-ctk", keys, "-ctv", values]
        # The tool keeps flash attention off, without which values stay in floats.
        command += [] if values in _FLOATS else ["-fa", "1"]
    return command


def _read_tests(output: str) -> list[BenchTest]:
    """All tests of an output. One that cannot be read makes the output unreadable."""
    tests: list[BenchTest] = []
    for line, found in read_bench_output(output):
        if isinstance(found, BadOutput):
            raise BadOutput(found.field, f"{found.reason} (line {line})")
        tests.append(found)
    if not tests:
        raise BadOutput(None, "no test in the output")
    return tests


def _why_failed(done: Finished) -> str:
    code = done.exit_code or 0
    ended = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return _one_line(f"{ended}: {lines[-1]}" if lines else ended)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MESSAGE_CHARS]


def _telemetry(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> str | None:
    if not before and not after:
        return None
    return json.dumps({"before": before, "after": after}, ensure_ascii=False)


def _row(
    model: ModelFile,
    sweep_id: str,
    profile: Profile,
    telemetry: str | None,
    facts: Mapping[str, Any],
) -> SidecarRow:
    return SidecarRow(
        sweep_id=sweep_id,
        sidecar_id=time_ordered_id(),
        recorded_at=datetime.now(UTC),
        model_id=model.model_id,
        quant_tag=model.quant_tag,
        profile=profile.name,
        telemetry=telemetry,
        **facts,
    )
