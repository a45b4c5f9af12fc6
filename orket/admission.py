"""Which rows are kept: one edge for both ways in, a sweep's own rows and a file's.

The types of `orket.records` bound every value; here stands what a type alone cannot
say. A row of a file that does not pass is rejected. A row of an answered call is never
lost: what it cannot hold is left out of it, and named.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from urllib.parse import quote

import msgspec

from orket import policy
from orket.limits import EARLIEST, LATEST, MAX_FOLDER_BYTES
from orket.records import (
    EventRow,
    FidelityRow,
    Record,
    RunRecord,
    SidecarRow,
    SweepRow,
    checked,
)
from orket.text import storable

OUTCOMES = frozenset({"OK", "FAILED", "TIMEOUT", "CANCELLED"})
ROLES = frozenset({"REFERENCE", "QUANT"})
LEVELS = frozenset({"PATH", "PREFIX", "DIVERGENCE"})
PHASES = frozenset({"warmup", "canary", "matrix", "repeat", "anchor"})
MOMENTS: dict[type[Record], tuple[str, ...]] = {
    RunRecord: ("executor_started_at", "recorded_at", "started_at"),
    SidecarRow: ("recorded_at",),
    FidelityRow: ("recorded_at",),
    EventRow: ("recorded_at", "measured_at"),
    SweepRow: ("started_at",),
}
"""The columns of each dataset that hold a moment."""

IDENTITIES = {
    "sweeps": "manifest_id",
    "runs": "attempt_id",
    "sidecars": "sidecar_id",
    "fidelity": "fidelity_id",
    "events": "event_id",
}
"""Dataset -> the column that tells its rows apart; no view counts a row without it."""

_PLACE = re.compile(r"at `\$\.(?P<path>[\w.]+)")


def admit(row: Record) -> bytes:
    """A row as the bytes that are kept.

    Raises msgspec.ValidationError naming the field of a row that is not kept.
    """
    line = checked(row)
    if fault := find_fault(row):
        raise msgspec.ValidationError(f"{fault[1]} - at `$.{fault[0]}`")
    return line


def find_fault(row: Record) -> tuple[str, str] | None:
    """Field and reason of a value that its type allows and that cannot be."""
    for name in MOMENTS[type(row)]:
        moment = getattr(row, name)
        if moment is not None and not EARLIEST <= moment < LATEST:
            return name, f"out of range: a moment of the year {moment.year}"
    if not is_folder_name(getattr(row, "sweep_id", None)):
        return "sweep_id", f"too long for a folder: over {MAX_FOLDER_BYTES} bytes"
    if isinstance(row, SweepRow):
        return _find_fault_of_sweep(row)
    if isinstance(row, FidelityRow):
        return _find_fault_of_scores(row)
    return _find_fault_of_run(row) if isinstance(row, RunRecord) else None


def _find_fault_of_sweep(row: SweepRow) -> tuple[str, str] | None:
    """Two entries of one name, of which one would count for both; a false policy."""
    names: dict[str, list[str]] = {
        "models": [model.model_id for model in row.models],
        "quants": [f"{quant.model_id} {quant.quant_tag}" for quant in row.quants],
        "tasks": [task.test_id for task in row.tasks],
        "plan": [run.run_id for run in row.plan],
    }
    for field, listed in names.items():
        if twice := [name for name, number in Counter(listed).items() if number > 1]:
            return field, f"{twice[0]!r:.80} stands twice"
    for place, model in enumerate(row.models):
        if fault := policy.find_fault(model.policy):
            return f"models[{place}].policy.{fault[0]}", fault[1]
    return None


def _find_fault_of_run(row: RunRecord) -> tuple[str, str] | None:
    """What cannot be true together."""
    if row.call.outcome not in OUTCOMES:
        return "call.outcome", f"not an outcome: {row.call.outcome!r:.40}"
    if row.phase not in PHASES:
        return "phase", f"not a phase: {row.phase!r:.40}"
    start, end = row.started_ns, row.ended_ns
    if start is not None and end is not None and end < start:
        return "ended_ns", "a negative duration: it ended before started_ns"
    checks = row.checks
    if checks is not None and checks.checks_passed > checks.checks_total:
        return "checks.checks_passed", "more checks passed than there are"
    return None


def _find_fault_of_scores(row: FidelityRow) -> tuple[str, str] | None:
    """Lists that do not stand beside each other, or words of no meaning."""
    for name, known in (
        ("role", ROLES),
        ("level", LEVELS),
        ("outcome", OUTCOMES | {"UNSUPPORTED"}),
    ):
        if getattr(row, name) not in known:
            return name, f"not one of {', '.join(sorted(known))}"
    tops = row.top_ids if row.top_ids is not None else row.top_texts
    if (tops is None) != (row.top_nnats is None):
        return "top_nnats", "log-probabilities without tokens, or the other way round"
    if tops is not None and row.top_nnats is not None:
        if [len(top) for top in tops] != [len(top) for top in row.top_nnats]:
            return "top_nnats", "not one log-probability for each token"
        if not all(tops):
            return "top_nnats", "a place without a token"
    lengths = {
        len(column)
        for column in (row.path_ids, row.path_texts, row.path_nnats, row.top_nnats)
        if column is not None
    }
    return ("path_ids", "lists of different places") if len(lengths) > 1 else None


def is_folder_name(sweep_id: str | None) -> bool:
    """Whether the folder of a sweep has a name that every file system takes."""
    return sweep_id is None or len(quote(sweep_id, safe="")) <= MAX_FOLDER_BYTES


def fit(row: RunRecord) -> tuple[RunRecord, bytes]:
    """A run as it can be kept, with its bytes.

    Stray surrogates are replaced. Any other value that no row holds is left out, with
    the group it stands in where that alone may be NULL, and named in `call_notes`.
    Raises msgspec.ValidationError where a key of the row is at fault.
    """
    try:
        return row, admit(row)
    except msgspec.ValidationError:
        plain = _storable_tree(msgspec.to_builtins(row))
    left_out: list[str] = []
    while True:
        try:
            kept = msgspec.convert(plain, RunRecord, strict=False)
            return kept, admit(kept)
        except msgspec.ValidationError as error:
            path = _path_to_leave_out(error, left_out)
            if path is None:
                raise
            left_out.append(path)
            _leave_out(plain, path)


def _path_to_leave_out(error: Exception, left_out: list[str]) -> str | None:
    """The field at fault; the group around it where leaving it out was not enough."""
    match = _PLACE.search(str(error))
    path = match["path"] if match else ""
    while path in left_out:
        path = path.rpartition(".")[0]
    return path or None


def _leave_out(plain: dict[str, Any], path: str) -> None:
    *groups, name = path.split(".")
    place = plain
    for group in groups:
        place = place[group]
    place[name] = None
    notes = plain["call"]["call_notes"]
    plain["call"]["call_notes"] = sorted({*notes, f"NOT_KEPT:{path}"})


def _storable_tree(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {name: _storable_tree(item) for name, item in value.items()}
    return (
        [_storable_tree(item) for item in value] if isinstance(value, list) else value
    )
