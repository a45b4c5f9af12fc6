"""What each command says beside a damaged part, of its sweep and of a whole one.

Every kind of part, damaged in every way: a whole sweep's commands give the same bytes;
those of the damaged one work on the rest and say so, or refuse in one line.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orket.cli.main import run_command
from orket.records import SidecarRow
from orket.warehouse import Warehouse
from orket.warehouse.compact import compact
from orket.warehouse.parts import has_tag, may_bear_on
from tests.built_sweep import START, Sweep
from tests.nightly import IS_NIGHT, nightly

SWEEPS = ("base", "bad", "good")
_LATER = START + timedelta(days=9999)


def _store(folder: Path) -> Path:
    """Three sweeps, each with several parts in every dataset, and stored baselines."""
    for number, name in enumerate(SWEEPS):
        sweep = Sweep(
            sweep_id=name, started_at=START + timedelta(days=number), repetitions=2
        )
        sweep.fill().finish()
        for quant in ("F16", "Q2_K"):
            sweep.score(quant, "t1", [{1: 0.5, 2: 0.25}])
        store = Warehouse(folder)
        store.append("sweeps", [sweep.sweep_row()], name)
        for start in (0, 5):
            store.append("runs", sweep.runs[start : start + 5], name)
        store.append("runs", sweep.runs[10:], name)
        for row in sweep.fidelity:
            store.append("fidelity", [row], name)
        for place in range(2):
            sidecar = SidecarRow(
                sweep_id=name,
                sidecar_id=f"{name}-s{place}",
                recorded_at=START,
                model_id="m",
                tool="llama-bench",
                quant_tag="F16",
                status="TIMEOUT",
            )
            store.append("sidecars", [sidecar], name)
        store.append("events", sweep.events)
        if name == "base":
            assert run_command(["baseline", "append", "base", "-w", str(folder)]) == 0
    return folder


SHOWING = {
    "show": ["show", "{}"],
    "export": ["export", "{}", "-o", "-"],
    "sql": ["sql", "--sweep", "{}", "SELECT count(outcome) AS runs FROM v1.runs"],
    "kpi": ["kpi", "{}"],
    "report": ["report", "{}", "-o", "-", "--format", "md"],
    "why": ["why", "Q2_K", "{}"],
    "explain": ["explain", "{}:m:F16:t1:2", "{}"],
}
"""They show the rest, and end with what is missing."""
JUDGING = {
    "gate": ["gate", "{}", "--quant", "Q4_K_M", "--no-baseline"],
    "diff": ["diff", "base", "{}"],
    "use": ["use", "{}", "--quant", "F16"],
    "resolve": ["baseline", "resolve", "{}"],
}
"""Others rely on them: of a sweep that is not whole they say nothing."""
OVER_ALL = {
    "sweeps": ["sweeps"],
    "matrix": ["matrix"],
    "history": ["kpi"],
    "all": ["sql", "SELECT sweep_id, count(*) FROM v1.runs GROUP BY ALL ORDER BY ALL"],
    "baselines": ["baseline", "list"],
}
BY_DAY = ("show", "export", "sql", "gate", "diff", "sweeps", "baselines")


class Told(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: list[str]


class Case(NamedTuple):
    """A command over one sweep, or over all of them."""

    name: str
    words: list[str]


def _of(sweep: str, commands: dict[str, list[str]]) -> list[Case]:
    return [
        Case(name, [word.format(sweep) for word in words])
        for name, words in commands.items()
        if IS_NIGHT or name in BY_DAY
    ]


def _run(case: Case, root: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Told:
    capsysbinary.readouterr()
    code = run_command([*case.words, "-w", str(root)])
    out, err = capsysbinary.readouterr()
    return Told(code, out.decode(), err.decode().replace(str(root), "W").splitlines())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _store(tmp_path_factory.mktemp("damaged") / "warehouse")


@pytest.fixture(scope="module")
def expected() -> dict[tuple[str, ...], Told]:
    """What commands said of the whole warehouse, as far as they were asked."""
    return {}


@pytest.fixture
def ask(whole, expected, capsysbinary) -> Callable[[Case, Path], tuple[Told, Told]]:
    """What a command says of the whole warehouse, and of another."""

    def call(case: Case, root: Path) -> tuple[Told, Told]:
        key = tuple(case.words)
        if key not in expected:
            expected[key] = _run(case, whole, capsysbinary)
            assert expected[key].code == 0
        return expected[key], _run(case, root, capsysbinary)

    return call


def _garbage(part: Path) -> None:
    data = bytearray(part.read_bytes())
    for place in range(4, len(data) - 8):
        data[place] ^= 0xA5
    part.write_bytes(data)


def _foreign(part: Path) -> None:
    pq.write_table(pa.table({"price": pa.array([1, 2])}), part)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda part: part.write_bytes(part.read_bytes()[:-100]),
    "zero bytes": lambda part: part.write_bytes(b""),
    "garbage": _garbage,
    "foreign": _foreign,
}
KINDS = ["truncated", *nightly("zero bytes", "garbage", "foreign")]
BY_SWEEP = ("runs", "sidecars", "fidelity")
OWN = [BY_SWEEP[0], *nightly(*BY_SWEEP[1:])]


def _damaged(whole: Path, root: Path, dataset: str, kind: str) -> Path:
    shutil.copytree(whole, root)
    (part, *_) = [
        part
        for part in Warehouse(root).parts(dataset, "bad")
        if dataset != "events" or (has_tag(part) and may_bear_on(part, "bad"))
    ]
    DAMAGES[kind](part)
    return part


def _require_told(told: Told, part: Path) -> None:
    """One line, what is wrong first and the path last."""
    errors = [line for line in told.err if line.startswith("orket: error: ")]
    assert told.code == 1
    assert len(errors) == 1
    assert " cannot be read (" in errors[0]
    assert errors[0].endswith(part.name)
    assert errors[0].index("orket verify --quarantine") < errors[0].index("W/")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dataset", [*OWN, *nightly("sweeps", "events")])
def test_a_whole_sweep_says_the_same_beside_a_damaged_one(
    dataset, kind, whole, ask, tmp_path
):
    part = _damaged(whole, tmp_path / "w", dataset, kind)
    for case in _of("good", {**SHOWING, **JUDGING}):
        before, after = ask(case, tmp_path / "w")
        assert (after.code, after.out) == (0, before.out), case.name
        if dataset != "events" or (kind == "foreign" and after == before):
            assert after.err == before.err, case.name
            continue
        # All events are read: what is wrong with another sweep's is said on the way.
        (told,) = [line for line in after.err if line not in before.err]
        assert told.startswith("orket: warning: ")
        assert "it is of another sweep" in told and told.endswith(part.name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dataset", [*OWN, *nightly("events")])
def test_a_damaged_sweep_is_shown_as_far_as_it_goes_and_judged_by_nothing(
    dataset, kind, whole, ask, tmp_path
):
    part = _damaged(whole, tmp_path / "w", dataset, kind)
    is_run = dataset in ("runs", "events")
    for case in _of("bad", SHOWING):
        before, after = ask(case, tmp_path / "w")
        if kind == "foreign" and after == before:
            assert case.name in ("sql", "why", "explain")  # No row of it is looked at.
            continue
        if is_run or case.name in ("show", "export", "kpi", "report"):
            _require_told(after, part)
            assert after.out
        if case.name == "export":
            missing = json.loads(after.out)["missing_parts"]
            assert (missing["status"], missing["parts"]) == ("PARTS_MISSING", 1)
            assert json.loads(before.out)["missing_parts"] is None
        if case.name == "sql":
            lost = 5 if dataset == "runs" else 0
            assert int(after.out.split()[-1]) == int(before.out.split()[-1]) - lost
    for case in _of("bad", JUDGING) if is_run else ():
        _, after = ask(case, tmp_path / "w")
        assert after.out == "", case.name
        _require_told(after, part)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dataset", ["sweeps", *nightly(*BY_SWEEP, "events")])
def test_what_is_over_all_sweeps_names_what_is_missing(
    dataset, kind, whole, ask, tmp_path
):
    part = _damaged(whole, tmp_path / "w", dataset, kind)
    for case in _of("", OVER_ALL):
        before, after = ask(case, tmp_path / "w")
        if kind == "foreign" and after == before:
            assert case.name in ("all", "baselines")  # No row of it is looked at.
            continue
        if case.name == "sweeps" or dataset in ("sweeps", "events"):
            _require_told(after, part)
        assert "good" in after.out or case.name in ("history", "matrix", "baselines")
        if dataset != "sweeps" and case.name == "baselines":
            assert after.out == before.out


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_that_is_lost_is_told_in_one_line(kind, whole, ask, tmp_path):
    part = _damaged(whole, tmp_path / "w", "sweeps", kind)
    for case in _of("bad", {**SHOWING, **JUDGING}):
        _, after = ask(case, tmp_path / "w")
        assert after.out == "", case.name
        _require_told(after, part)
        assert len([x for x in after.err if "cannot be read" in x]) == 1, case.name


@pytest.mark.parametrize("dataset", ["events", *nightly("runs")])
def test_damage_that_may_bear_on_all_is_gone_on_without_and_said(
    dataset, whole, ask, tmp_path
):
    """Stored baselines, or all events folded into one part."""
    root = tmp_path / "w"
    shutil.copytree(whole, root)
    if dataset == "runs":
        compact(Warehouse(root), pause=0)
    (part,) = [part for part in Warehouse(root).parts("events") if not has_tag(part)]
    DAMAGES["truncated"](part)
    for case in _of("good", {**SHOWING, **JUDGING}):
        before, after = ask(case, root)
        _require_told(after, part)
        if case.name in JUDGING and dataset == "events" and case.name != "resolve":
            assert after.out == before.out
        if case.name == "export":
            found = json.loads(after.out)
            assert found["missing_parts"]["parts"] == 1
            ended = "COMPLETED" if dataset == "events" else "UNKNOWN"
            assert found["status"] == ended
    # Who governs baselines does not without knowing them all.
    code = run_command(["baseline", "append", "good", "-w", str(root)])
    assert code == 1


def test_events_that_cannot_be_read_are_asked_for_once(whole, tmp_path):
    """What others say is kept beside a damaged part, and is new once it is back."""
    root = tmp_path / "w"
    shutil.copytree(whole, root)
    part = Warehouse(root).parts("events")[1]
    content = part.read_bytes()
    part.write_bytes(content[:-50])
    parts = {"events": Warehouse(root).parts("events")}
    for _ in range(2):
        events = Warehouse(root).events(parts)
        index = events.index()
        assert index is not None
        assert [damage.part for damage in events.unread()] == [part]
    assert index is not None
    marks = [index.watermark(name, _LATER) for name in SWEEPS]
    part.write_bytes(content)
    mended = Warehouse(root).events(parts)
    again = mended.index()
    assert again is not None
    assert mended.unread() == []
    assert marks != [again.watermark(name, _LATER) for name in SWEEPS]


def test_what_is_derived_may_be_damaged_anyhow(whole, ask, tmp_path):
    root = tmp_path / "w"
    shutil.copytree(whole, root)
    for case in _of("good", SHOWING):
        ask(case, root)
    for file in (root / ".derived").iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for case in [*_of("good", SHOWING), *_of("", OVER_ALL)]:
        before, after = ask(case, root)
        assert after == before
