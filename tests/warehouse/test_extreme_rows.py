"""Whatever is accepted can be read: extreme rows leave every command working."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import inspect
from msgspec.structs import replace

from orket.admission import OUTCOMES, PHASES
from orket.cli.main import run_command
from orket.exports.json_text import render_json
from orket.exports.load import load_summary
from orket.ingest.importer import ingest_file
from orket.limits import EARLIEST, LATEST
from orket.policy import POLICY_KEYS
from orket.records import (
    EventRow,
    ModelEntry,
    Override,
    PlannedRun,
    Policy,
    QuantEntry,
    Record,
    RunRecord,
    SidecarRow,
    SweepRow,
    TaskEntry,
)
from orket.warehouse import Warehouse
from orket.warehouse.view_files import view_files
from tests.built_sweep import Sweep
from tests.raw_rows import START, make_run, store_sweep

TEXTS = (
    "",
    "x",
    "null",
    "{",
    "9" * 5_000,
    "a\x00b",
    "\u202e'\"; --",
    "\U0001f600" * 3,
    "x" * 200,
)
MOMENTS = (EARLIEST, START, START + timedelta(seconds=1), LATEST - timedelta.resolution)
FIXED: dict[str, st.SearchStrategy[Any]] = {
    "sweep_id": st.just("extreme"),
    "run_id": st.sampled_from(["run-1", "run-2", "run-3"]),
    "attempt_id": st.uuids().map(str),
    "sidecar_id": st.uuids().map(str),
    "event_id": st.uuids().map(str),
    "model_id": st.sampled_from(["m", "n\u202e"]),
    "quant_tag": st.sampled_from(["F16", "Q4_K_M", "x'y"]),
    "test_id": st.sampled_from(["bank/one", "two"]),
    "task_revision": st.just("r"),
    "bucket": st.sampled_from(["logic", "\u2028"]),
    "outcome": st.sampled_from([*sorted(OUTCOMES), "OK", "OK"]),
    "phase": st.sampled_from([*sorted(PHASES), "matrix", "matrix"]),
    "kind": st.sampled_from(["START", "RESUME", "INGEST"]),
    "event": st.sampled_from(["SWEEP_FINISHED", "SWEEP_ABORTED", "BASELINE_APPEND"]),
    "status": st.sampled_from(["OK", "FAILED"]),
    "test": st.sampled_from(["pp", "tg", "pg", None]),
    "locality": st.sampled_from([None, "child", "remote"]),
    "decode_clock": st.sampled_from([None, "first_token", "prefill_end"]),
}
"""Words that come from a closed list, and keys that rows are joined by."""


def extreme(declared: inspect.Type, name: str = "") -> st.SearchStrategy[Any]:
    """The ends of what a declared type takes."""
    if name in FIXED:
        return FIXED[name]
    if isinstance(declared, inspect.Metadata):
        return extreme(declared.type, name)
    if isinstance(declared, inspect.UnionType):
        return st.one_of(*(extreme(kind, name) for kind in declared.types))
    if isinstance(declared, inspect.NoneType):
        return st.none()
    if isinstance(declared, inspect.BoolType):
        return st.booleans()
    if isinstance(declared, inspect.IntType):
        assert declared.le is not None
        assert declared.ge is not None
        ends = {declared.ge, 0, 1, 1000, declared.le // 2, declared.le}
        return st.sampled_from(sorted(ends))
    if isinstance(declared, inspect.StrType):
        least = declared.min_length or 0
        return st.sampled_from([text for text in TEXTS if len(text) >= least])
    if isinstance(declared, inspect.DateTimeType):
        return st.sampled_from(MOMENTS)
    if isinstance(declared, inspect.ListType):
        return st.lists(extreme(declared.item_type), max_size=3)
    assert isinstance(declared, inspect.StructType)
    return extreme_row(declared.cls)


def extreme_row(row_type: type[Any], **given: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A row of a type as plain values."""
    info = inspect.type_info(row_type)
    assert isinstance(info, inspect.StructType)
    if row_type is Policy:
        given = {**possible_thresholds(), **given}
    parts = {
        field.name: given.get(field.name, extreme(field.type, field.name))
        for field in info.fields
    }
    return st.fixed_dictionaries(parts)


def possible_thresholds() -> dict[str, st.SearchStrategy[Any]]:
    """The ends of each threshold that is bound closer than its column."""
    found: dict[str, st.SearchStrategy[Any]] = {}
    for entry in POLICY_KEYS.values():
        least = int(entry.is_positive)
        if entry.words:
            found[entry.field] = st.sampled_from(entry.words)
        elif entry.is_share:
            assert entry.unit.scale is not None
            whole = int(entry.unit.scale)
            ends = sorted({least, 1, whole // 2, whole - 1, whole})
            found[entry.field] = st.sampled_from(ends)
        elif least:
            found[entry.field] = st.sampled_from([1, 1000, 10**12])
    return found


def _few(row_type: type[Record], **given: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(extreme_row(row_type, **given), min_size=1, max_size=3)


MANIFEST = extreme_row(
    SweepRow,
    manifest_id=st.just("manifest"),
    models=_few(ModelEntry),
    quants=_few(QuantEntry),
    tasks=_few(TaskEntry),
    plan=_few(PlannedRun),
)
ROWS = st.tuples(
    st.lists(MANIFEST, max_size=1),
    st.lists(extreme_row(RunRecord), min_size=1, max_size=4),
    st.lists(extreme_row(SidecarRow), max_size=2),
    st.lists(extreme_row(EventRow), max_size=2),
).map(lambda groups: [row for group in groups for row in group])


def lines_of(rows: list[Mapping[str, Any]]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def good_summary(warehouse: Warehouse) -> str:
    return render_json(load_summary(warehouse, "good"))


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(ROWS)
def test_extreme_rows_break_no_view_of_any_sweep(rows):
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder) / "warehouse")
        store_sweep(warehouse, [make_run("good", f"a/{n}", order=n) for n in range(2)])
        before = good_summary(warehouse)
        source = Path(folder) / "rows.jsonl"
        source.write_bytes(lines_of(rows))
        ingest_file(warehouse, source, format_name="orket")
        with warehouse.session() as session:
            for name in view_files():
                session.rows(f"SELECT * FROM v1.{name}")
        for sweep_id in warehouse.sweep_ids():
            json.loads(render_json(load_summary(warehouse, sweep_id)))
        if not any(row.get("event") for row in rows):
            assert good_summary(warehouse) == before


def test_every_command_works_beside_the_largest_figures(tmp_path, capsys):
    """One run at every upper end at once, in a sweep beside a good one."""
    warehouse = Warehouse(tmp_path / "warehouse")
    store_sweep(warehouse, [make_run("good", f"a/{n}", order=n) for n in range(2)])
    plain = json.loads(msgspec.json.encode(make_run("large", "a/0")))
    for group, row_type in ((plain, RunRecord), (plain["call"], type(make_run().call))):
        info = inspect.type_info(row_type)
        assert isinstance(info, inspect.StructType)
        for field in info.fields:
            if isinstance(group.get(field.name), int) and group[field.name] is not True:
                group[field.name] = _most(field.type)
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps(plain) + "\n")
    place = ["-w", str(warehouse.path)]
    assert run_command(["ingest", str(source), *place]) == 0
    for command in (
        ["sweeps"],
        ["kpi"],
        ["show", "good"],
        ["show", "large"],
        ["export", "large", "-o", "-"],
        ["sql", "SELECT * FROM v1.runs"],
        ["why", "Q4_K_M", "large"],
        ["explain", plain["run_id"], "large"],
        ["diff", "good", "large"],
        ["gate", "large", "--quant", "Q4_K_M", "--no-baseline"],
        ["report", "large", "-o", str(tmp_path / "r.html")],
        ["report", "large", "-o", str(tmp_path / "r.md")],
        ["use", "large", "--quant", "Q4_K_M"],
        ["bundle", "large", "-o", str(tmp_path / "b.tar")],
        ["verify"],
        ["baseline", "append", "good", "--override", "for the test"],
        ["baseline", "append", "large", "--override", "for the test"],
        ["baseline", "list"],
        ["baseline", "health"],
        ["baseline", "resolve", "large"],
        ["baseline", "prune"],
    ):
        # 4: the gate is not met, or the sweeps differ for the worse.
        fine = (0, 4) if command[0] in ("gate", "diff") else (0,)
        code = run_command([*command, *place])
        assert code in fine, (command, capsys.readouterr().err)


NO_JSON = (
    "{",
    "\u202e",
    "NaN",
    "[" * 200 + "]" * 200,
    "[" * 90_000 + "]" * 90_000,
    "1e999999",
    "1" * 9_000,
    '{"a": -Infinity}',
    '[{"status": 1}, 1, {"status": "failed", "kind": ["x"], "reason": {}}]',
)
"""What a stranger may write where JSON ought to stand."""


def test_what_ought_to_be_json_may_be_any_text(tmp_path, capsys):
    """In the manifest, in checks and in what a server is said to have reported."""
    sweep = Sweep(sweep_id="s", quants=("F16", "Q4_K_M"), repetitions=3).fill()
    sweep.runs = [
        replace(
            run,
            call=replace(run.call, raw_figures=text, answer_text="no"),
            checks=run.checks
            and replace(run.checks, checks_passed=0, check_details=text),
        )
        for run, text in zip(sweep.runs, cycle(NO_JSON), strict=False)
    ]
    overrides = [
        Override(key=f"policy.k{number}_ppm", value=text, preset_value=text)
        for number, text in enumerate(NO_JSON)
    ]
    warehouse = sweep.store(tmp_path / "w")
    row = replace(sweep.sweep_row(), overrides=overrides, manifest_id="again")
    warehouse.append("sweeps", [row], "s")
    place = ["-w", str(warehouse.path)]
    for command in (
        ["show", "s"],
        ["export", "s", "-o", str(tmp_path / "s.json")],
        ["export", "s", "-o", str(tmp_path / "s.json")],
        ["why", "Q4_K_M", "s"],
        ["report", "s", "-o", str(tmp_path / "r.html")],
        ["report", "s", "-o", str(tmp_path / "r.md")],
        ["bundle", "s", "-o", str(tmp_path / "b.tar")],
        *(["explain", run.run_id, "s"] for run in sweep.runs[2:6]),
    ):
        code = run_command([*command, *place])
        assert code == 0, (command, capsys.readouterr().err)
    kept = json.loads((tmp_path / "s.json").read_bytes())["overrides"]
    assert kept["policy.k0_ppm"] == "{"
    assert kept["policy.k2_ppm"] == "NaN"


def _most(declared: inspect.Type) -> Any:
    if isinstance(declared, inspect.Metadata):
        return _most(declared.type)
    if isinstance(declared, inspect.UnionType):
        return max(_most(kind) or 0 for kind in declared.types)
    return declared.le if isinstance(declared, inspect.IntType) else None
