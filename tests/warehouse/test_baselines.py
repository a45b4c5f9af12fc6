"""Stored baselines: what may be stored, what is pruned and what is found unhealthy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orket import baselines
from orket.baselines import PruneRule, Selection
from orket.cli.main import run_command
from orket.errors import CheckFailed, UsageError
from orket.ingest.importer import ingest_file
from orket.records import EventRow
from orket.warehouse import Warehouse
from tests.raw_rows import MACHINE, START, make_manifest, make_run, store_sweep

OTHER_MACHINE = "hw1-0000000000000002"
SECOND = 1_000_000_000
# Sorted 1.0 1.1 1.2 1.3 2.0: the median is 1.2; distances 0 .1 .1 .2 .8: the MAD is .1.
WALLS = (1.0, 1.1, 1.3, 1.2, 2.0)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse.open(tmp_path / "warehouse")


def sweep(
    warehouse: Warehouse,
    sweep_id: str,
    start: datetime = START,
    walls: Sequence[float] = WALLS,
    **manifest: Any,
) -> str:
    """A finished sweep of one cell, every run CLEAN."""
    runs = [
        make_run(
            sweep_id,
            repetition=place + 1,
            wall_ns=int(wall * SECOND),
            passed=1 if place == 0 else 2,
            start=start,
            order=place,
        )
        for place, wall in enumerate(walls)
    ]
    return store_sweep(warehouse, runs, start=start, **manifest)


_weeks: dict[tuple[object, ...], Path] = {}
"""Warehouses of one sweep each that is stored as a baseline; `()` is their folder."""


@pytest.fixture(scope="module", autouse=True)
def weeks(tmp_path_factory):
    _weeks[()] = tmp_path_factory.mktemp("weeks")
    yield
    _weeks.clear()


def weekly(warehouse: Warehouse, count: int, name: str = "week", **more: Any) -> None:
    """Sweeps a week apart, each stored as a baseline: judged once for all tests."""
    for week in range(count):
        key = (name, week, *more.items())
        if key not in _weeks:
            alone = Warehouse.open(_weeks[()] / str(len(_weeks)))
            start = START + timedelta(weeks=week)
            sweep_id = sweep(alone, f"{name}-{week}", start, **more)
            baselines.append_from_sweep(alone, sweep_id)
            _weeks[key] = alone.path
        shutil.copytree(
            _weeks[key],
            warehouse.path,
            ignore=shutil.ignore_patterns(".derived"),
            dirs_exist_ok=True,
        )


def sources(records: Sequence[dict[str, Any]]) -> list[str]:
    return [record["sweep_id"] for record in records]


def fates(warehouse: Warehouse, rule: PruneRule) -> dict[str, str | None]:
    planned = baselines.plan_prune(warehouse, rule)
    return {row["sweep_id"]: row["kept_because"] for row in planned}


def test_a_clean_cell_is_stored_with_its_facts(warehouse):
    result = baselines.append_from_sweep(warehouse, sweep(warehouse, "s"))
    assert (len(result.stored), result.already, result.blocked) == (1, [], [])
    (record,) = baselines.list_records(warehouse)
    facts = {
        "sweep_id": "s",
        "test_id": "logic/one",
        "model_id": "demo",
        "quant_tag": "Q4_K_M",
        "task_revision": "rev-1",
        "hardware_fingerprint": MACHINE,
        "fingerprint_version": "1",
        "control_profile": "quiet",
        "run_quality_status": "CLEAN",
        "runs": 5,
        "checks_passed": 9,
        "checks_total": 10,
        "latency_median_ns": 1_200_000_000,
        "latency_mad_ns": 100_000_000,
        "memory_bytes": 1 << 30,
        "reason": None,
        "pinned": False,
        "pruned": False,
    }
    assert {name: record[name] for name in facts} == facts
    assert record["source_run_ids"] == [
        f"s-matrix-demo-Q4_K_M-logic/one-{number}" for number in range(1, 6)
    ]
    assert record["controls"]["seed"] == 7


def test_appending_twice_stores_once(warehouse):
    sweep_id = sweep(warehouse, "s")
    baselines.append_from_sweep(warehouse, sweep_id)
    result = baselines.append_from_sweep(warehouse, sweep_id)
    assert (result.stored, len(result.already)) == ([], 1)
    assert len(baselines.list_records(warehouse)) == 1


@pytest.mark.parametrize(
    ("change", "is_finished", "reasons"),
    [
        ({"swapped_bytes": 1 << 30}, True, ["NOT_CLEAN"]),
        ({"outcome": "FAILED"}, True, ["INCOMPLETE"]),
        ({"total": 0, "passed": 0}, True, ["NO_CHECKS"]),
        ({}, False, ["SWEEP_NOT_FINISHED"]),
    ],
)
def test_what_is_not_clean_and_complete_is_blocked(
    warehouse, change, is_finished, reasons
):
    first = make_run("s", repetition=1, **change)
    rest = {
        name: value for name, value in change.items() if name in ("total", "passed")
    }
    second = make_run("s", repetition=2, order=1, **rest)
    store_sweep(warehouse, [first, second], is_finished=is_finished)
    result = baselines.append_from_sweep(warehouse, "s")
    assert (result.stored, len(result.blocked)) == ([], 1)
    assert result.blocked[0]["blocked_reasons"] == reasons
    assert baselines.list_records(warehouse) == []


def test_an_override_is_stored_with_its_reason(warehouse):
    runs = [
        make_run("s", "logic/clean"),
        make_run("s", "logic/loaded", order=1, swapped_bytes=1 << 30),
        make_run("s", "logic/failed", order=2, outcome="FAILED"),
    ]
    store_sweep(warehouse, runs)
    result = baselines.append_from_sweep(warehouse, "s", reason="only machine we have")
    assert len(result.stored) == 2
    assert [cell["test_id"] for cell in result.blocked] == ["logic/failed"]
    records = baselines.list_records(warehouse)
    told = {
        row["test_id"]: (row["run_quality_status"], row["reason"]) for row in records
    }
    assert told == {
        "logic/clean": ("CLEAN", None),
        "logic/loaded": ("POLLUTED", "only machine we have"),
    }


def test_a_selection_limits_what_is_stored(warehouse):
    runs = [make_run("s", "logic/one"), make_run("s", "logic/two", order=1)]
    store_sweep(warehouse, runs)
    baselines.append_from_sweep(warehouse, "s", selection=Selection("logic/two"))
    records = baselines.list_records(warehouse)
    assert [row["test_id"] for row in records] == ["logic/two"]


def test_resolve_tells_every_candidate_and_the_decision(warehouse):
    day = timedelta(days=1)
    for name, start, machine in (
        ("old", START, MACHINE),
        ("newer", START + day, MACHINE),
        ("elsewhere", START + 2 * day, OTHER_MACHINE),
    ):
        sweep_id = sweep(warehouse, name, start, machine=machine)
        baselines.append_from_sweep(warehouse, sweep_id)
    # The appends happen now, so the sweep that is compared starts later than now.
    later = datetime.now(START.tzinfo) + day
    sweep(warehouse, "this", later, walls=[0.9] * 5)
    decisions, candidates = baselines.resolve(warehouse, "this")
    (decision,) = decisions
    told = {
        baseline["sweep_id"]: baseline["event_id"]
        for baseline in baselines.list_records(warehouse)
    }
    fate = {row["event_id"]: row["dropped_by"] for row in candidates}
    assert fate[told["elsewhere"]] == "HW_MISMATCH"
    # Both others are more than 90 days older than a sweep of today.
    assert {fate[told["old"]], fate[told["newer"]]} == {"STALE_BASELINE"}
    assert (decision["status"], decision["reason"]) == (
        "MISSING_BASELINE",
        "STALE_BASELINE",
    )
    assert decision["nearest_event_id"] == told["newer"]


def test_as_of_judges_by_what_was_stored_by_then(warehouse):
    sweep(warehouse, "old", START)
    sweep(warehouse, "this", START + timedelta(days=1))
    baselines.append_from_sweep(warehouse, "old")
    # Appended now, long after "this" started.
    ((decision,), _) = baselines.resolve(warehouse, "this")
    assert decision["reason"] == "NO_BASELINE"
    later = datetime.now(START.tzinfo) + timedelta(seconds=1)
    ((decision,), _) = baselines.resolve(warehouse, "this", as_of=later)
    assert decision["nearest_event_id"] is not None
    early = START - timedelta(days=1)
    ((decision,), _) = baselines.resolve(warehouse, "this", as_of=early)
    assert decision["reason"] == "NO_BASELINE"


def test_the_verbs_that_judge_compare_as_of_a_moment_too(warehouse, tmp_path, capsys):
    weekly(warehouse, 1)
    sweep(warehouse, "this", START + timedelta(weeks=1))
    place = ["-w", str(warehouse.path)]
    later = f"{datetime.now(START.tzinfo) + timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    told = {}
    # However late is asked: a week lies between the two, so it is not stale.
    for moment in (None, "2026-01-01", later):
        file = str(tmp_path / f"{moment}.json")
        asked = ["--as-of", moment] if moment else []
        assert run_command(["export", "this", *place, "-o", file, *asked]) == 0
        summary = json.loads(Path(file).read_text())
        (quant,) = summary["sessions"][0]["per_quant"]
        status = quant["baseline_comparison"]["status"]
        told[moment] = (status, summary["overrides"].get("as_of"))
    assert told == {
        None: ("MISSING_BASELINE", None),
        "2026-01-01": ("MISSING_BASELINE", "2026-01-01T00:00:00"),
        later: ("MATCHED", later),
    }
    capsys.readouterr()
    assert run_command(["show", "this", *place, "--as-of", later]) == 0
    shown = capsys.readouterr().out
    assert "Against stored baselines" in shown
    assert run_command(["show", "this", *place]) == 0
    assert "Against stored baselines" not in capsys.readouterr().out
    page = str(tmp_path / "page.md")
    for asked in (["why", "Q4_K_M", "this"], ["report", "this", "-o", page]):
        assert run_command([*asked, *place, "--as-of", later]) == 0


def test_a_pin_is_used_though_it_is_old_and_an_unpin_ends_it(warehouse):
    weekly(warehouse, 2)
    later = datetime.now(START.tzinfo) + timedelta(days=1)
    old = baselines.list_records(warehouse)[-1]
    assert old["sweep_id"] == "week-0"
    baselines.pin(warehouse, old["event_id"][:20], "the release")
    sweep(warehouse, "this", later)
    (decision,) = baselines.resolve(warehouse, "this")[0]
    assert (decision["status"], decision["baseline_event_id"]) == (
        "MATCHED",
        old["event_id"],
    )
    (pinned,) = [row for row in baselines.list_records(warehouse) if row["pinned"]]
    assert (pinned["event_id"], pinned["pin_reason"]) == (
        old["event_id"],
        "the release",
    )
    with pytest.raises(UsageError, match="pinned already"):
        baselines.pin(warehouse, old["event_id"])
    baselines.unpin(warehouse, old["event_id"])
    assert not any(row["pinned"] for row in baselines.list_records(warehouse))
    with pytest.raises(UsageError, match="is not pinned"):
        baselines.unpin(warehouse, old["event_id"])
    acts = [
        row["event"] for row in baselines.record_history(warehouse, old["event_id"])
    ]
    assert acts == ["BASELINE_APPEND", "BASELINE_PIN", "BASELINE_UNPIN"]


def test_other_weights_under_one_tag_are_another_quant(warehouse):
    for name, start, digest in (
        ("first", START, "sha256:old"),
        ("second", START + timedelta(days=1), "sha256:new"),
    ):
        runs = [
            make_run(name, quant=quant, start=start, order=place)
            for place, quant in enumerate(("Q8_0", "Q4_K_M"))
        ]
        store_sweep(warehouse, runs, start=start, digest=digest)
    baselines.append_from_sweep(warehouse, "first")
    now = datetime.now(START.tzinfo) + timedelta(seconds=1)
    decisions, candidates = baselines.resolve(warehouse, "second", as_of=now)
    own = {record["event_id"]: record for record in baselines.list_records(warehouse)}
    assert len(decisions) == 2
    for decision in decisions:
        assert decision["reason"] == "MODEL_MISMATCH"
        nearest = own[decision["nearest_event_id"]]
        # The neighbour's record differs in less than its weights, and is not nearer.
        assert nearest["quant_tag"] == decision["quant_tag"]
    assert {row["dropped_by"] for row in candidates} == {
        "MODEL_MISMATCH",
        "QUANT_MISMATCH",
    }


def test_prune_keeps_the_newest_of_all_weights_of_one_tag(warehouse):
    weekly(warehouse, 2, "old", digest="sha256:old")
    weekly(warehouse, 2, "new", digest="sha256:new")
    rule = PruneRule(keep_last=1, fingerprint=MACHINE)
    assert fates(warehouse, rule) == {
        "old-1": "AMONG_NEWEST",
        "new-1": "AMONG_NEWEST",
        "old-0": None,
        "new-0": None,
    }


def test_prune_keeps_the_newest_of_each_key(warehouse):
    weekly(warehouse, 4)
    rule = PruneRule(keep_last=2, fingerprint=MACHINE)
    assert fates(warehouse, rule) == {
        "week-3": "AMONG_NEWEST",
        "week-2": "AMONG_NEWEST",
        "week-1": None,
        "week-0": None,
    }


def test_prune_never_takes_another_machines_records(warehouse):
    weekly(warehouse, 2)
    weekly(warehouse, 2, "else", machine=OTHER_MACHINE)
    rule = PruneRule(keep_last=0, fingerprint=MACHINE)
    assert fates(warehouse, rule) == {
        "week-0": None,
        "week-1": None,
        "else-0": "OTHER_MACHINE",
        "else-1": "OTHER_MACHINE",
    }
    everywhere = PruneRule(keep_last=0, all_machines=True)
    assert set(fates(warehouse, everywhere).values()) == {None}


def test_prune_without_a_known_machine_takes_nothing(warehouse):
    weekly(warehouse, 2)
    weekly(warehouse, 1, "anywhere", machine=None)
    rule = PruneRule(keep_last=0, fingerprint=None)
    assert set(fates(warehouse, rule).values()) == {"OTHER_MACHINE"}
    rule = PruneRule(keep_last=0, fingerprint=MACHINE)
    assert fates(warehouse, rule)["anywhere-0"] == "OTHER_MACHINE"


def test_prune_by_age_counts_whole_records_against_the_newest_event(warehouse):
    weekly(warehouse, 3)
    age = datetime.now(START.tzinfo) - START
    days = (age - timedelta(weeks=1)).days + 1
    # Only the first is older than that: the second is a week younger.
    rule = PruneRule(keep_last=0, older_than_days=days, fingerprint=MACHINE)
    assert fates(warehouse, rule) == {
        "week-0": None,
        "week-1": "YOUNG_ENOUGH",
        "week-2": "YOUNG_ENOUGH",
    }


def test_prune_keeps_pinned_ones(warehouse):
    weekly(warehouse, 3)
    records = baselines.list_records(warehouse)
    by_sweep = {row["sweep_id"]: row["event_id"] for row in records}
    baselines.pin(warehouse, by_sweep["week-0"])
    baselines.pin(warehouse, by_sweep["week-1"])
    baselines.unpin(warehouse, by_sweep["week-1"])
    rule = PruneRule(keep_last=1, fingerprint=MACHINE)
    assert fates(warehouse, rule) == {
        "week-0": "PINNED",
        "week-1": None,
        "week-2": "AMONG_NEWEST",
    }


def test_prune_keeps_what_a_sweep_was_compared_with(warehouse):
    now = datetime.now(START.tzinfo)
    for name, days in (("first", 3), ("second", 2)):
        start = now - timedelta(days=days)
        baselines.append_from_sweep(warehouse, sweep(warehouse, name, start))
    sweep(warehouse, "this", datetime.now(START.tzinfo) + timedelta(hours=1))
    rule = PruneRule(keep_last=0, fingerprint=MACHINE)
    assert fates(warehouse, rule) == {"first": None, "second": "REFERENCED"}


def test_a_prune_is_one_event_and_can_be_undone(warehouse):
    weekly(warehouse, 3)
    rule = PruneRule(keep_last=1, fingerprint=MACHINE)
    going = [
        row["event_id"]
        for row in baselines.plan_prune(warehouse, rule)
        if row["kept_because"] is None
    ]
    event_id = baselines.apply_prune(warehouse, going, "spring cleaning")
    assert sources(baselines.list_records(warehouse)) == ["week-2"]
    everything = baselines.list_records(warehouse, with_pruned=True)
    assert sorted(row["pruned"] for row in everything) == [False, True, True]
    with pytest.raises(UsageError, match="is pruned"):
        baselines.pin(warehouse, going[0])
    assert baselines.undo_prune(warehouse, "latest") == (event_id, 2)
    assert len(baselines.list_records(warehouse)) == 3
    with pytest.raises(UsageError, match="nothing is pruned"):
        baselines.undo_prune(warehouse, "latest")
    acts = [row["event"] for row in baselines.record_history(warehouse, going[0])]
    assert acts == ["BASELINE_APPEND", "BASELINE_PRUNE", "BASELINE_PRUNE_UNDONE"]


def test_a_prune_does_not_change_the_decision_of_an_earlier_sweep(warehouse):
    now = datetime.now(START.tzinfo)
    baselines.append_from_sweep(
        warehouse, sweep(warehouse, "base", now - timedelta(days=1))
    )
    sweep(warehouse, "this", datetime.now(START.tzinfo))
    before = baselines.resolve(warehouse, "this")
    (record,) = baselines.list_records(warehouse)
    baselines.apply_prune(warehouse, [record["event_id"]])
    assert before[0][0]["status"] == "MATCHED"
    assert baselines.resolve(warehouse, "this") == before


def unhealthy(warehouse: Warehouse) -> None:
    """One stale, one duplicate, one orphaned; all of the machine of START."""
    weekly(warehouse, 1)
    (record,) = baselines.list_records(warehouse)
    copied = {
        name: record[name]
        for name in EventRow.__struct_fields__
        if name in record and name not in ("event_id", "controls", "measured_at")
    }
    now = datetime.now(START.tzinfo)
    twin = EventRow(
        event_id="twin",
        event="BASELINE_APPEND",
        measured_at=record["measured_at"].replace(tzinfo=START.tzinfo),
        **{**copied, "recorded_at": now},
    )
    orphan = EventRow(
        event_id="orphan",
        event="BASELINE_APPEND",
        measured_at=now,
        **{**copied, "recorded_at": now, "sweep_id": "gone", "source_run_ids": ["x"]},
    )
    warehouse.append("events", [twin, orphan])


def test_health_finds_stale_orphaned_and_duplicate_records(warehouse):
    unhealthy(warehouse)
    totals, problems, passed = baselines.health(
        warehouse, {"stale": 1, "orphaned": 1, "duplicate": 0, "incompatible": 0}
    )
    assert totals == {
        "records": 3,
        "stale": 2,
        "incompatible": 0,
        "orphaned": 1,
        "duplicate": 1,
    }
    assert passed == ["duplicate", "stale"]
    by_id = {row["event_id"]: row for row in problems}
    assert by_id["orphan"]["is_orphaned"] and not by_id["orphan"]["is_stale"]
    assert by_id["twin"]["is_duplicate"] and by_id["twin"]["is_stale"]
    with pytest.raises(CheckFailed, match="1 duplicate, 2 stale"):
        baselines.require_health(totals, passed)


def test_health_finds_what_no_sweep_could_match(warehouse, tmp_path):
    legacy = [
        {
            "baseline_metadata": {
                "test_run_id": "r",
                "model_id": "unknown",
                "quant_tag": "Q4_K_M",
                "hardware_fingerprint": "linux-6|cpu|8c|32gb|none",
                "task_revision": "v1",
            },
            "gold_telemetry": {"adherence_score": 1.0},
        }
    ]
    path = tmp_path / "001.json"
    path.write_text(json.dumps(legacy))
    ingest_file(warehouse, path)
    _, (problem,), _ = baselines.health(warehouse)
    assert problem["incompatible_reasons"] == [
        "AGE_UNKNOWN",
        "FINGERPRINT_VERSION",
        "MODEL_UNKNOWN",
        "NOT_CLEAN",
    ]


def test_health_finds_a_changed_task_and_a_pin_without_its_record(warehouse):
    weekly(warehouse, 1)
    (record,) = baselines.list_records(warehouse)
    start = START + timedelta(days=1)
    changed = make_manifest([make_run("changed", start=start)], start=start)
    tasks = [msgspec.structs.replace(changed.tasks[0], task_revision="rev-2")]
    changed = msgspec.structs.replace(changed, tasks=tasks)
    warehouse.append("sweeps", [changed], "changed")
    pin = EventRow(
        event_id="pin",
        recorded_at=START,
        event="BASELINE_PIN",
        target_event_id="never-there",
        test_id="logic/one",
    )
    warehouse.append("events", [pin])
    totals, problems, _ = baselines.health(warehouse)
    by_id = {row["event_id"]: row for row in problems}
    assert (by_id["never-there"]["kind"], totals["orphaned"]) == ("PIN", 1)
    reasons = by_id[record["event_id"]]["incompatible_reasons"]
    assert reasons == ["REVISION_CHANGED"]


def test_nothing_stored_is_healthy_and_lists_nothing(warehouse):
    totals, problems, passed = baselines.health(
        warehouse, dict.fromkeys(baselines.HEALTH_CHECKS, 0)
    )
    assert (set(totals.values()), problems, passed) == ({0}, [], [])
    assert baselines.list_records(warehouse) == []
    with pytest.raises(UsageError, match="no stored baseline"):
        baselines.find_record(warehouse, "x")


def test_an_ambiguous_reference_names_the_choices(warehouse):
    weekly(warehouse, 2)
    with pytest.raises(UsageError, match="means 2 baselines"):
        baselines.find_record(warehouse, "2026")


def test_legacy_files_come_back_as_they_were(warehouse, tmp_path):
    entry = {
        "baseline_metadata": {
            "test_run_id": "ref",
            "model_id": "qwen",
            "model_hash": "ab",
            "quant_tag": "Q4_K_M",
            "hardware_fingerprint": "linux-6|cpu|8c|32gb|none",
            "task_revision": "v1",
            "created_at": "2026-02-01T00:00:00.000000Z",
            "pinned": True,
        },
        "gold_telemetry": {
            "adherence_score": 0.85,
            "peak_memory_rss": 2800.5,
            "total_latency": 9.123456789,
        },
    }
    document = {"test_id": "bank/001", "history": [entry]}
    path = tmp_path / "old.json"
    path.write_text(json.dumps(document))
    ingest_file(warehouse, path)
    (written,) = baselines.export_legacy(warehouse, tmp_path / "out")
    assert written.name == "bank%2F001.json"
    assert json.loads(written.read_text(encoding="utf-8")) == document
    with pytest.raises(UsageError, match="is there already"):
        baselines.export_legacy(warehouse, tmp_path / "out")


def orket(warehouse: Warehouse, *arguments: str) -> int:
    return run_command(["baseline", *arguments, "-w", str(warehouse.path)])


def test_the_verbs_speak_and_exit_as_promised(warehouse, tmp_path, capsys):
    sweep(warehouse, "s")
    assert orket(warehouse, "append", "s") == 0
    assert orket(warehouse, "append", "s") == 0
    shown = capsys.readouterr()
    assert "logic/one,demo,Q4_K_M,5,5,stored,[]" in shown.out
    assert "0 baselines stored, 1 were stored already" in shown.err
    assert orket(warehouse, "list", "--format", "json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["adherence"], listed["latency_seconds"]) == ("0.900", "1.200")
    assert orket(warehouse, "show", listed["event_id"]) == 0
    assert "BASELINE_APPEND" in capsys.readouterr().out
    assert orket(warehouse, "pin", listed["event_id"], "--reason", "good") == 0
    assert orket(warehouse, "unpin", listed["event_id"]) == 0
    assert orket(warehouse, "resolve", "s") == 0
    assert "NO_BASELINE,MISSING_BASELINE" in capsys.readouterr().out
    assert orket(warehouse, "health") == 0
    assert orket(warehouse, "health", "--max-stale", "0") == 4
    assert "not healthy: 1 stale" in capsys.readouterr().err
    assert orket(warehouse, "show", "nothing") == 2


def test_the_prune_verb_shows_first_and_acts_with_apply(warehouse, capsys):
    weekly(warehouse, 2)
    options = ("--keep", "1", "--machine", MACHINE)
    assert orket(warehouse, "prune", *options) == 0
    assert "1 baselines would go" in capsys.readouterr().err
    assert len(baselines.list_records(warehouse)) == 2
    assert orket(warehouse, "prune", *options, "--apply") == 0
    assert "1 baselines pruned; undo it with" in capsys.readouterr().err
    assert len(baselines.list_records(warehouse)) == 1
    assert orket(warehouse, "prune", "--undo", "latest") == 0
    assert len(baselines.list_records(warehouse)) == 2


def test_the_prune_verb_spares_this_machines_neighbours(warehouse, capsys):
    """The records here are of a machine that is not the one the test runs on."""
    weekly(warehouse, 3)
    assert orket(warehouse, "prune", "--keep", "0", "--apply") == 0
    assert "nothing to prune" in capsys.readouterr().err
    assert len(baselines.list_records(warehouse)) == 3


def test_appending_what_is_not_clean_fails_with_what_to_do(warehouse, capsys):
    store_sweep(warehouse, [make_run("s", swapped_bytes=1 << 30)])
    assert orket(warehouse, "append", "s") == 2
    assert "--override REASON" in capsys.readouterr().err
    assert orket(warehouse, "append", "s", "--override", " ") == 2
    assert orket(warehouse, "append", "s", "--override", "known noise") == 0


def test_import_and_export_verbs(warehouse, tmp_path, capsys):
    path = tmp_path / "001.json"
    path.write_text('[{"baseline_metadata": {"test_run_id": "r"}}, 7]')
    assert orket(warehouse, "import", str(path)) == 2
    assert orket(warehouse, "import", str(path), "--allow-rejects") == 0
    assert orket(warehouse, "export", str(tmp_path / "out")) == 0
    assert str(tmp_path / "out" / "001.json") in capsys.readouterr().out
    assert Path(tmp_path / "out" / "001.json").is_file()


def test_it_is_said_how_many_stored_cells_can_ever_match(warehouse, capsys):
    runs = [
        make_run("s", "logic/clean"),
        make_run("s", "logic/loaded", order=1, swapped_bytes=1 << 30),
    ]
    store_sweep(warehouse, runs)
    assert orket(warehouse, "append", "s") == 0
    assert "can ever match" not in capsys.readouterr().err
    assert orket(warehouse, "append", "s", "--override", "only machine") == 0
    said = "1 of 2 stored baselines can ever match: the other 1 are not CLEAN"
    assert said in capsys.readouterr().err
    assert orket(warehouse, "list") == 0
    assert said in capsys.readouterr().err
