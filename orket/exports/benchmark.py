"""The runs of a sweep in the Go benchmark format, which `benchstat` compares.

A line for each run that counts; runs that are polluted are left out as the policy says.
`benchstat` puts results whose configuration differs into tables of their own, so that
`key: value` lines hold what forbids to compare times; what is compared stands in
comments, which it skips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orket.errors import UsageError
from orket.exports.json_text import moment_text, plain_decimal
from orket.exports.load import load_summary
from orket.exports.scale import MILLI, NANO, scale
from orket.text import printable
from orket.warehouse.statements import statement

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

UNITS = {"sec/op": "lower", "tok/s": "higher"}
"""Wall time of a run, and its generated tokens in a second; which way is better."""

_FORBIDDING = (
    "temperature",
    "thinking",
    "threads",
    "affinity_policy",
    "warmup_steps",
    "context",
    "batch",
    "kv_cache",
)
"""Settings without whose likeness times, or the work in them, are not compared."""
_SPECIAL = re.compile(r"[^\w.:+@~,()\[\]-]", re.ASCII)
"""What a part of a name cannot hold: a slash parts it, a space ends it."""
_PROCESSORS = re.compile(r"-(?=\d+$)")
"""At the end of a name: what follows would be taken for a number of processors."""


def render_benchmark(
    warehouse: Warehouse, sweep_id: str, overrides: Mapping[str, object] | None = None
) -> str:
    """The runs of a sweep that count for times, as text; the same rows, the same text.

    Raises UsageError where no run does.
    """
    summary = load_summary(warehouse, sweep_id, overrides)
    with warehouse.session(sweep_id, overrides) as session:
        rows = session.rows(statement("exports", "benchmark_runs"))
    if not rows:
        raise UsageError(
            f"no run of sweep {sweep_id} counts for times",
            f"orket show {sweep_id} says why",
        )
    return "".join(f"{line}\n" for line in _lines(summary, rows))


def _lines(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    yield f"# sweep {printable(summary['sweep_id'])}"
    yield f"# preset {printable(summary['preset'])}"
    yield f"# recorded {moment_text(summary['generated_at'])}"
    hardware = summary["hardware"]
    yield from _setting("machine", summary["hardware_fingerprint"])
    yield from _setting("os", hardware["os"])
    yield from _setting("cpu", hardware["cpu"])
    for unit, better in UNITS.items():
        yield f"Unit {unit} better={better}"
    in_force: dict[str, str] = {}
    for session in summary["sessions"]:
        mine = [row for row in rows if row["model_id"] == session["model_id"]]
        if not mine:
            continue
        provider = session["provider"]
        server = " ".join(filter(None, (provider["name"], provider["version"])))
        yield f"# {printable(session['model_id'])} on {printable(server)}"
        controls = session["experimental_controls"]
        wanted = {
            key.replace("_", "-"): _plain(controls.get(key)) for key in _FORBIDDING
        }
        for key, value in wanted.items():
            if value != in_force.get(key, ""):
                # Without a value a line ends what another model was asked for.
                yield f"{key}: {value}".rstrip()
        in_force = wanted
        yield from map(_run_line, mine)


def _setting(key: str, value: Any) -> Iterator[str]:
    """A configuration line; none where nothing is known."""
    if text := _plain(value):
        yield f"{key}: {text}"


def _plain(value: Any) -> str:
    """A value on one line; empty where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return plain_decimal(value)
    return printable(str(value)).strip()


def _run_line(row: Mapping[str, Any]) -> str:
    parts = (
        f"{key}={escape_name(str(row[column]))}"
        for key, column in (("model", "model_id"), ("task", "test_id"))
    )
    quant = f"quant={_escape_end(escape_name(str(row['quant_tag'])))}"
    name = "/".join(("BenchmarkRun", *parts, quant))
    line = f"{name} 1 {_number(row['wall_ns'], NANO, 9)} sec/op"
    if row["rate_milli"] is None:
        return line
    return f"{line} {_number(row['rate_milli'], MILLI, 3)} tok/s"


def _number(value: int, divisor: int, digits: int) -> str:
    return plain_decimal(scale(value, divisor, digits))


def escape_name(text: str) -> str:
    """A name as a part of a benchmark's name: what it cannot hold, as %XX of UTF-8."""
    return _SPECIAL.sub(_percent, text)


def _escape_end(text: str) -> str:
    return _PROCESSORS.sub(_percent, text)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))
