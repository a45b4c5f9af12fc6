"""Ingest of Orket's own rows: strict per row, idempotent, order-independent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orket.cli.main import run_command
from orket.errors import UsageError
from orket.ingest.importer import FileReport, ingest_file
from orket.ingest.orket_file import ingest_orket_rows
from orket.ingest.orket_rows import judge_stretch
from orket.ingest.rejection import Rejection
from orket.records import RunRecord, judge, to_json
from orket.warehouse import Warehouse
from orket.warehouse.leftovers import find_leftovers
from tests.looking import ask
from tests.raw_rows import START, finished, make_manifest, make_run, store_sweep

RUNS = [
    make_run("sweep-a", f"logic/{test}", repetition, quant=quant, order=order)
    for order, (repetition, quant, test) in enumerate(
        (repetition, quant, test)
        for repetition in (1, 2)
        for quant in ("Q8_0", "Q4_K_M")
        for test in ("one", "two")
    )
]
LINES = [to_json(run) for run in RUNS]


def plain_run(**changes: Any) -> dict[str, Any]:
    """A valid run as a dictionary; dotted names reach into its groups."""
    row: dict[str, Any] = json.loads(LINES[0])
    for name, value in changes.items():
        group = row
        *path, last = name.split("__")
        for step in path:
            group = group[step]
        if value is DROPPED:
            del group[last]
        else:
            group[last] = value
    return row


DROPPED = object()


def write(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    encoded = [
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    ]
    path.write_bytes(b"".join(line + b"\n" for line in encoded))
    return path


def ingest_lines(
    tmp_path: Path, *lines: bytes | dict[str, Any]
) -> tuple[FileReport, Warehouse]:
    warehouse = Warehouse.open(tmp_path / "warehouse")
    path = write(tmp_path / "rows.jsonl", *lines)
    return ingest_file(warehouse, path, format_name="orket"), warehouse


def rejects(report: FileReport) -> list[dict[str, Any]]:
    assert report.rejects_path is not None
    text = report.rejects_path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def view_rows(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    return ask(warehouse, query, None)


def facts_of(warehouse: Warehouse) -> list[object]:
    """All that the views can see of a warehouse's runs and their manifest."""
    with warehouse.session() as session:
        return [
            session.rows(f"SELECT * FROM v1.{name} ORDER BY ALL")
            for name in ("attempts", "manifest")
        ]


def test_good_rows_go_in_as_they_are(tmp_path):
    report, warehouse = ingest_lines(tmp_path, *LINES)
    assert (report.accepted, report.rejected) == ({"runs": 8}, 0)
    stored = view_rows(warehouse, "SELECT * FROM raw.runs ORDER BY order_index")
    direct = Warehouse.open(tmp_path / "direct")
    store_sweep(direct, RUNS)
    assert stored == view_rows(direct, "SELECT * FROM raw.runs ORDER BY order_index")


def test_rows_of_other_writers_are_stored_like_our_own(tmp_path):
    """Spaces, another key order, left-out defaults and another zone change nothing."""
    row = plain_run(recorded_at="2026-01-05T14:00:00+02:00")
    del row["sensor_gaps"], row["retry_pass"], row["call"]["generation_retries"]
    shuffled = dict(reversed(row.items()))
    report, warehouse = ingest_lines(tmp_path, shuffled)
    assert report.accepted == {"runs": 1}
    (stored,) = view_rows(warehouse, "SELECT * FROM raw.runs")
    assert stored["recorded_at"] == START.replace(tzinfo=None)
    assert (stored["sensor_gaps"], stored["retry_pass"]) == ([], 0)
    assert stored["call"]["generation_retries"] == 0


BAD_ROWS: list[tuple[str, Callable[[], bytes | dict[str, Any]], str | None, str]] = [
    ("missing", lambda: plain_run(run_id=DROPPED), "run_id", "missing required"),
    (
        "missing inside",
        lambda: plain_run(call__outcome=DROPPED),
        "call.outcome",
        "missing required",
    ),
    ("unknown key", lambda: plain_run(call__tps=7), "call.tps", "unknown field"),
    (
        "number as text",
        lambda: plain_run(call__prompt_tokens="12"),
        "call.prompt_tokens",
        "got `str`",
    ),
    (
        "fraction",
        lambda: plain_run(call__prompt_tokens=1.5),
        "call.prompt_tokens",
        "got `float`",
    ),
    (
        "whole fraction",
        lambda: plain_run(call__prompt_tokens=12.0),
        "call.prompt_tokens",
        "got `float`",
    ),
    (
        "flag as number",
        lambda: plain_run(repetition=True),
        "repetition",
        "got `bool`",
    ),
    ("number as name", lambda: plain_run(quant_tag=7), "quant_tag", "got `int`"),
    ("null", lambda: plain_run(model_id=None), "model_id", "got `null`"),
    ("empty name", lambda: plain_run(sweep_id=""), "sweep_id", "length >= 1"),
    ("negative time", lambda: plain_run(call__wall_ns=-1), "call.wall_ns", ">= 0"),
    (
        "end before start",
        lambda: plain_run(started_ns=5, ended_ns=4),
        "ended_ns",
        "negative duration",
    ),
    (
        "beyond int64",
        lambda: plain_run(call__wall_ns=2**63),
        "call.wall_ns",
        "<= 1000000000000000",
    ),
    (
        "longer than any call",
        lambda: plain_run(call__decode_ns=10**15 + 1),
        "call.decode_ns",
        "<= 1000000000000000",
    ),
    (
        "more tokens than there are",
        lambda: plain_run(call__prompt_tokens=10**12 + 1),
        "call.prompt_tokens",
        "<= 1000000000000",
    ),
    (
        "more memory than there is",
        lambda: plain_run(peak_server_rss_bytes=10**16 + 1),
        "peak_server_rss_bytes",
        "<= 10000000000000000",
    ),
    (
        "before there were clocks",
        lambda: plain_run(started_at="0001-01-01T00:00:00Z"),
        "started_at",
        "year 1",
    ),
    (
        "before there were clocks, in a zone east of them",
        lambda: plain_run(recorded_at="0001-01-01T00:00:00+14:00"),
        "recorded_at",
        "year 1",
    ),
    (
        "beyond 64 bits of nanoseconds",
        lambda: plain_run(executor_started_at="2262-01-01T00:00:00Z"),
        "executor_started_at",
        "year 2262",
    ),
    (
        "a sweep that no folder can be named after",
        lambda: plain_run(sweep_id="ü" * 34),
        "sweep_id",
        "too long for a folder",
    ),
    (
        "far beyond int64",
        lambda: plain_run(call__wall_ns=2**200),
        "call.wall_ns",
        "call.wall_ns",
    ),
    (
        "no zone",
        lambda: plain_run(recorded_at="2026-01-05T12:00:00"),
        "recorded_at",
        "timezone",
    ),
    ("no time", lambda: plain_run(recorded_at="soon"), "recorded_at", "datetime"),
    (
        "null in a list",
        lambda: plain_run(sensor_gaps=["a", None]),
        "sensor_gaps[1]",
        "got `null`",
    ),
    (
        "no outcome",
        lambda: plain_run(call__outcome="FINE"),
        "call.outcome",
        "not an outcome",
    ),
    ("no phase", lambda: plain_run(phase="main"), "phase", "not a phase"),
    (
        "more passed than tried",
        lambda: plain_run(checks__checks_passed=3),
        "checks.checks_passed",
        "more checks passed",
    ),
    (
        "NaN",
        lambda: LINES[0].replace(b'"prompt_tokens":10', b'"prompt_tokens":NaN'),
        None,
        "not JSON",
    ),
    (
        "key twice",
        lambda: b'{"phase":"canary",' + LINES[0][1:],
        "phase",
        "stands twice",
    ),
    (
        "key twice inside",
        lambda: LINES[0].replace(b'"call":{', b'"call":{"wall_ns":1,'),
        "wall_ns",
        "stands twice",
    ),
    ("not UTF-8", lambda: LINES[0].replace(b'"42"', b'"4\xff"'), None, "not UTF-8"),
    (
        "half a surrogate",
        lambda: LINES[0].replace(b'"42"', b'"\\ud800"'),
        "call.answer_text",
        "half a surrogate pair",
    ),
    (
        "half a surrogate in a list",
        lambda: LINES[0].replace(b'"sensor_gaps":[]', b'"sensor_gaps":["a","\\udc00"]'),
        "sensor_gaps[1]",
        "half a surrogate pair",
    ),
    ("cut short", lambda: LINES[0][:-20], None, "cut short"),
    ("two rows in a line", lambda: LINES[0] + LINES[1], None, "not JSON"),
    ("a list", lambda: b"[1]", None, "got `array`"),
    ("words", lambda: b"hello", None, "not JSON"),
    ("deep", lambda: b'{"phase":' * 100_000, "phase", "got `object`"),
]


@pytest.mark.parametrize(
    ("make_bad", "field", "reason"),
    [case[1:] for case in BAD_ROWS],
    ids=[case[0] for case in BAD_ROWS],
)
def test_a_bad_row_is_rejected_and_its_neighbours_go_in(
    tmp_path, make_bad, field, reason
):
    report, warehouse = ingest_lines(tmp_path, LINES[1], make_bad(), LINES[2])
    assert (report.accepted, report.rejected) == ({"runs": 2}, 1)
    (reject,) = rejects(report)
    assert (reject["line"], reject["file"]) == (2, str(tmp_path / "rows.jsonl"))
    if reason != field:
        assert (reject["field"], reason in reject["reason"]) == (field, True), reject
    kept = view_rows(warehouse, "SELECT attempt_id FROM raw.runs ORDER BY order_index")
    assert [row["attempt_id"] for row in kept] == [
        RUNS[1].attempt_id,
        RUNS[2].attempt_id,
    ]


def test_a_cut_last_line_is_rejected_and_a_whole_one_without_newline_is_not(tmp_path):
    warehouse = Warehouse.open(tmp_path / "warehouse")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINES[0] + b"\n" + LINES[1])
    assert ingest_file(warehouse, path).accepted == {"runs": 2}
    path.write_bytes(LINES[2] + b"\n" + LINES[3][:-1])
    report = ingest_file(warehouse, path)
    assert (report.accepted, report.rejected) == ({"runs": 1}, 1)
    assert rejects(report)[0]["line"] == 2


def test_blank_lines_a_mark_and_carriage_returns_are_no_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + LINES[0] + b"\r\n\r\n  \n" + LINES[1] + b"\r\n")
    report = ingest_file(Warehouse.open(tmp_path / "warehouse"), path)
    assert (report.accepted, report.rejected) == ({"runs": 2}, 0)


def test_a_line_that_is_too_long_is_rejected_and_the_next_one_goes_in(
    tmp_path, monkeypatch
):
    for module in ("reading", "orket_rows"):
        monkeypatch.setattr(f"orket.ingest.{module}.MAX_LINE_BYTES", 4000)
    long_line = to_json(make_run(test="logic/" + "x" * 5000))
    report, _ = ingest_lines(tmp_path, LINES[0], long_line, LINES[1])
    assert (report.accepted, report.rejected) == ({"runs": 2}, 1)
    assert rejects(report)[0]["line"] == 2


def test_every_dataset_is_told_by_its_key(tmp_path):
    lines = [
        to_json(make_manifest(RUNS)),
        *LINES,
        to_json(finished("sweep-a")),
    ]
    report, warehouse = ingest_lines(tmp_path, *lines)
    assert report.accepted == {"events": 1, "runs": 8, "sweeps": 1}
    (manifest,) = view_rows(warehouse, "SELECT kind FROM raw.sweeps")
    assert manifest["kind"] == "START"


@pytest.mark.parametrize("listed", ["models", "quants", "tasks", "plan"])
def test_a_manifest_with_two_entries_of_one_name_is_rejected(tmp_path, listed):
    manifest = msgspec.to_builtins(make_manifest(RUNS))
    manifest[listed].append(dict(manifest[listed][0]))
    report, _ = ingest_lines(tmp_path, msgspec.json.encode(manifest), *LINES)
    assert (report.accepted.get("sweeps", 0), report.rejected) == (0, 1)
    (reject,) = rejects(report)
    assert reject["field"] == listed
    assert "stands twice" in reject["reason"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("evidence_level_ppm", 0),
        ("evidence_level_ppm", 1_000_001),
        ("adherence_threshold_ppm", 1_000_001),
        ("latency_ceiling_ns", 0),
        ("include_polluted", "sometimes"),
        ("utility_formula", "x"),
        ("evidence_rule", ""),
    ],
)
def test_a_manifest_with_a_policy_that_cannot_be_is_rejected(tmp_path, field, value):
    manifest = msgspec.to_builtins(make_manifest(RUNS))
    manifest["models"][0]["policy"][field] = value
    report, _ = ingest_lines(tmp_path, msgspec.json.encode(manifest), *LINES)
    assert (report.accepted.get("sweeps", 0), report.rejected) == (0, 1)
    (reject,) = rejects(report)
    assert field in reject["field"]


def test_a_header_line_fixes_the_dataset(tmp_path):
    event = to_json(finished("sweep-a"))
    report, _ = ingest_lines(tmp_path, b'{"dataset": "runs"}', LINES[0], event)
    assert (report.accepted, report.rejected) == ({"runs": 1}, 1)
    assert rejects(report)[0]["line"] == 3


def test_rows_without_a_manifest_get_one_from_what_they_show(tmp_path):
    _, warehouse = ingest_lines(tmp_path, *LINES)
    (manifest,) = view_rows(warehouse, "SELECT * FROM v1.manifest")
    assert manifest["kind"] == "INGEST"
    assert [run["run_id"] for run in manifest["plan"]] == [run.run_id for run in RUNS]
    assert [quant["quant_key"] for quant in manifest["quants"]] == ["Q4_K_M", "Q8_0"]
    assert manifest["models"][0]["controls"]["seed"] == 7
    cells = view_rows(
        warehouse,
        "SELECT planned_runs, ok_runs FROM v1.task_aggregate",
    )
    assert cells == [{"planned_runs": 2, "ok_runs": 2}] * 4


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_manifest_that_comes_after_its_rows_rules(tmp_path, seconds):
    """Even one of a clock that was set back after it: the rows are no later."""
    store = Warehouse(tmp_path / "warehouse")
    run = make_run()
    own = make_manifest([run], start=run.started_at + timedelta(seconds=seconds))
    for name, row in (("runs", run), ("manifest", own)):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(to_json(row) + b"\n")
        ingest_file(store, path)
    with store.session() as session:
        kept = session.rows("SELECT kind FROM raw.sweeps ORDER BY kind")
        (ruling,) = session.rows("SELECT manifest_id, kind FROM v1.manifest")
    assert [row["kind"] for row in kept] == ["INGEST", "START"]
    assert ruling == {"manifest_id": own.manifest_id, "kind": "START"}


def test_a_sweep_that_has_a_manifest_keeps_it(tmp_path):
    warehouse = Warehouse.open(tmp_path / "warehouse")
    store_sweep(warehouse, RUNS[:4])
    path = write(tmp_path / "rows.jsonl", *LINES)
    ingest_file(warehouse, path)
    manifests = view_rows(warehouse, "SELECT kind FROM raw.sweeps")
    assert manifests == [{"kind": "START"}]


def test_the_same_file_twice_counts_once(tmp_path):
    report, warehouse = ingest_lines(tmp_path, *LINES)
    before = facts_of(warehouse)
    ingest_file(warehouse, report.path)
    assert facts_of(warehouse) == before


@pytest.fixture(scope="module")
def whole_facts(tmp_path_factory):
    """What the views see when all rows come once, in order, in one file."""
    return facts_of(ingest_lines(tmp_path_factory.mktemp("whole"), *LINES)[1])


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_order_repetition_and_splitting_change_nothing(
    tmp_path_factory, whole_facts, data
):
    """Property: what the views see depends on the set of rows alone."""
    lines = data.draw(st.permutations(LINES))
    lines += data.draw(st.lists(st.sampled_from(LINES), max_size=4))
    cut = data.draw(st.integers(min_value=0, max_value=len(lines)))
    folder = tmp_path_factory.mktemp("split")
    warehouse = Warehouse.open(folder / "warehouse")
    for name, part in (("a", lines[:cut]), ("b", lines[cut:])):
        path = write(folder / f"{name}.jsonl", *part)
        ingest_file(warehouse, path, format_name="orket")
    assert facts_of(warehouse) == whole_facts


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(LINES),
            st.sampled_from([b"", b"{}", b"nonsense", b'{"a": NaN}']),
            st.sampled_from(LINES).flatmap(
                lambda line: st.integers(0, len(line)).map(lambda cut: line[:cut])
            ),
            st.binary(max_size=40).filter(lambda raw: b"\n" not in raw),
        ),
        max_size=12,
    ),
    st.integers(min_value=1, max_value=5),
)
def test_blocks_of_lines_are_judged_like_single_lines(lines, size):
    """Property: how a file is cut into blocks never changes a verdict."""
    ended = [line + b"\n" for line in lines]
    offsets = [sum(map(len, ended[:place])) for place in range(len(ended))]
    singly = judge_stretch(zip(offsets, ended, strict=True), None)
    starts = range(0, len(ended), size)
    blocks = [(offsets[at], b"".join(ended[at : at + size])) for at in starts]
    together = judge_stretch(blocks, None)
    assert together == singly
    good = sum(span.rows for span in singly.spans) + len(singly.rewritten)
    blank = sum(not line.strip() for line in lines)
    assert good + len(singly.rejections) + blank == len(lines)


def test_a_judged_stretch_names_the_bytes_of_good_lines():
    text = b"".join(line + b"\n" for line in [*LINES[:2], b"bad", *LINES[2:4]])
    judged = judge_stretch([(0, text)], None)
    kept = b"".join(text[span.start : span.end] for span in judged.spans)
    assert [judge(RunRecord, line) for line in kept.splitlines()] == RUNS[:4]
    assert [type(found) for found in judged.rejections] == [Rejection]


def test_several_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr("orket.ingest.orket_file._WORTH_PROCESSES_BYTES", 0)
    monkeypatch.setattr("orket.ingest.orket_file._STRETCH_BYTES", 4000)
    path = write(tmp_path / "rows.jsonl", *LINES[:5], b"bad", *LINES[5:])
    alone = Warehouse.open(tmp_path / "alone")
    together = Warehouse.open(tmp_path / "together")
    first = ingest_file(alone, path, rejects_path=tmp_path / "first")
    second = ingest_file(together, path, rejects_path=tmp_path / "second", workers=2)
    assert (first.accepted, first.rejected) == ({"runs": 8}, 1)
    assert (second.accepted, second.rejected) == ({"runs": 8}, 1)
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()
    assert facts_of(together) == facts_of(alone)


@pytest.mark.parametrize("bad", [None, b"bad", b'{"phase": "x"}'])
@pytest.mark.parametrize("sweeps", [1, 3])
def test_a_copy_begun_early_changes_nothing(tmp_path, monkeypatch, bad, sweeps):
    runs = [make_run(f"s-{n % sweeps}", repetition=n, order=n) for n in range(1, 10)]
    lines = [to_json(run) for run in runs]
    if bad is not None:
        lines.insert(4, bad)
    path = write(tmp_path / "rows.jsonl", *lines)
    plain = Warehouse.open(tmp_path / "plain")
    early = Warehouse.open(tmp_path / "early")
    first = ingest_file(plain, path, format_name="orket")
    monkeypatch.setattr("orket.ingest.orket_file._WORTH_EARLY_BYTES", 0)
    second = ingest_file(early, path, format_name="orket")
    assert (first.accepted, first.rejected) == (second.accepted, second.rejected)
    assert facts_of(early) == facts_of(plain)
    assert find_leftovers(early) == []


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "rows.jsonl", *LINES)

    def judge_and_grow(path, sink, workers):
        yield from ingest_orket_rows(path, sink, workers)
        with path.open("ab") as file:
            file.write(b"unjudged\n")

    monkeypatch.setattr("orket.ingest.importer.ingest_orket_rows", judge_and_grow)
    warehouse = Warehouse.open(tmp_path / "warehouse")
    with pytest.raises(UsageError, match="changed while it was read"):
        ingest_file(warehouse, path)
    assert warehouse.sweep_ids() == []


def test_rows_of_many_sweeps_go_to_their_own_folders(tmp_path):
    runs = [make_run(f"sweep-{number}", order=number) for number in range(5)]
    _, warehouse = ingest_lines(tmp_path, *map(to_json, [*runs, *reversed(runs)]))
    assert sorted(warehouse.sweep_ids()) == [f"sweep-{number}" for number in range(5)]
    for run in runs:
        with warehouse.session(run.sweep_id) as session:
            (row,) = session.rows("SELECT attempt_id FROM v1.attempts")
        assert row["attempt_id"] == run.attempt_id


def test_an_unknown_file_is_refused_with_the_formats(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(UsageError, match="cannot tell its format"):
        ingest_file(Warehouse.open(tmp_path / "warehouse"), path)
    with pytest.raises(UsageError, match="not a file"):
        ingest_file(Warehouse.open(tmp_path / "warehouse"), tmp_path)


def run_ingest(tmp_path: Path, *arguments: str) -> int:
    return run_command(
        ["ingest", *arguments, "-w", str(tmp_path / "warehouse")],
    )


def test_the_verb_prints_counts_and_exits_2_on_rejects(tmp_path, capsys):
    good = write(tmp_path / "good.jsonl", *LINES)
    bad = write(tmp_path / "bad.jsonl", LINES[0], plain_run(phase="x"), b"{")
    assert run_ingest(tmp_path, str(good)) == 0
    assert run_ingest(tmp_path, str(good), str(bad)) == 2
    shown = capsys.readouterr()
    # Its good row stands in the other file too.
    assert f"{bad},orket,0,0,0,0,0,2,1" in shown.out
    assert f"{bad}: 0 new of 1: all of them are there already" in shown.err
    assert (
        f"{bad}: 2 rows rejected (line 2, phase: not a phase: 'x'), see {bad}"
        in shown.err
    )
    assert run_ingest(tmp_path, str(bad), "--allow-rejects") == 0


def test_one_rejects_file_serves_several_files(tmp_path):
    bad = [write(tmp_path / f"{name}.jsonl", LINES[0], b"{") for name in "ab"]
    target = tmp_path / "rejects"
    for _ in range(2):
        names = [str(path) for path in bad]
        assert run_ingest(tmp_path, *names, "--rejects", str(target)) == 2
    files = [json.loads(line)["file"] for line in target.read_text().splitlines()]
    assert files == [str(path) for path in bad]


def test_rejects_of_an_earlier_call_are_passed_over(tmp_path, capsys):
    bad = write(tmp_path / "bad.jsonl", LINES[0], b"{")
    shared = tmp_path / "all.jsonl"
    assert run_ingest(tmp_path, str(bad)) == 2
    assert run_ingest(tmp_path, str(bad), "--rejects", str(shared)) == 2
    capsys.readouterr()
    names = [str(path) for path in sorted(tmp_path.glob("*.jsonl"))]
    assert len(names) == 3
    for more in ([], ["--rejects", str(shared)]):
        assert run_ingest(tmp_path, *names, *more) == 2
        shown = capsys.readouterr()
        for path in (shared, tmp_path / "bad.jsonl.rejects.jsonl"):
            said = f"{path}: rows that were rejected before: passed over"
            assert said in " ".join(shown.err.split())
            assert f"{path},rejects,0,0,0,0,0,0,0" in shown.out
        # Nothing but the one bad line is rejected, now as then.
        assert f"{bad},orket,0,0,0,0,0,1,1" in shown.out


def test_the_verb_names_a_file_that_is_not_there(tmp_path, capsys):
    assert run_ingest(tmp_path, str(tmp_path / "gone")) == 2
    assert "gone: no such file: check the path" in capsys.readouterr().err


FIDELITY = {
    "sweep_id": "sweep-a",
    "fidelity_id": "f1",
    "recorded_at": "2026-01-05T12:00:00Z",
    "role": "QUANT",
    "model_id": "demo",
    "quant_tag": "Q4_K_M",
    "test_id": "logic/one",
    "task_revision": "rev-1",
    "prompt_sha256": "p",
    "level": "PATH",
    "method": "GRAMMAR",
    "outcome": "OK",
    "k": 2,
    "max_tokens": 8,
    "path_ids": [5, 2],
    "path_nnats": [-1, None],
    "top_ids": [[5, 7], [2, 5]],
    "top_nnats": [[-1, -9], [-1, -9]],
}


def test_fidelity_rows_are_taken_as_they_are(tmp_path):
    warehouse = Warehouse.open(tmp_path / "w")
    lines = [FIDELITY, FIDELITY, {**FIDELITY, "fidelity_id": "f2", "top_ids": None}]
    report = ingest_file(warehouse, write(tmp_path / "rows.jsonl", *lines))
    assert (report.accepted, report.rejected) == ({"fidelity": 2}, 1)
    assert report.sweeps == ["sweep-a"]
    with warehouse.session() as session:
        rows = session.rows("SELECT top_ids, path_nnats FROM raw.fidelity")
    assert rows == [{"top_ids": [[5, 7], [2, 5]], "path_nnats": [-1, None]}] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"role": "MAIN"},
        {"level": "SOME"},
        {"outcome": "MAYBE"},
        {"top_nnats": [[-1], [-1, -9]]},
        {"top_nnats": [[-1, -9]], "top_ids": [[5, 7]]},
        {"top_ids": [[], []], "top_nnats": [[], []]},
        {"top_nnats": None},
    ],
)
def test_lists_that_do_not_stand_beside_each_other_are_rejected(tmp_path, change):
    warehouse = Warehouse.open(tmp_path / "w")
    file = write(tmp_path / "rows.jsonl", {**FIDELITY, **change})
    report = ingest_file(warehouse, file)
    assert (report.accepted, report.rejected) == ({}, 1)
