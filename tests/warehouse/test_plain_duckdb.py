"""A warehouse for DuckDB alone: the views as SQL, as tables, and in people's units."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

import orket
from orket.cli.main import run_command
from orket.errors import UsageError
from orket.policy import Policy
from orket.warehouse import Warehouse
from orket.warehouse.human_units import UNITS, human_comment, human_name
from orket.warehouse.plain_sql import plain_sql
from orket.warehouse.view_files import view_files
from tests.adaptive_sweep import AdaptiveSweep
from tests.built_sweep import MS, START, Sweep

_ALONE = """
import json, sys
import duckdb
script, query = json.load(sys.stdin)
connection = duckdb.connect()
try:
    for statement in connection.extract_statements(script):
        try:
            connection.execute(statement)
        except duckdb.Error as error:
            print(error, file=sys.stderr)
    rows = connection.execute(query).fetchall()
finally:
    assert not any(name.partition(".")[0] == "orket" for name in sys.modules)
json.dump(rows, sys.stdout)
"""
"""As DuckDB's shell does it: a statement that fails does not end the text."""
_EVERY_ROW = " UNION ALL ".join(
    f"SELECT '{schema}.{name}', CAST(row_of AS VARCHAR) FROM {schema}.{name} AS row_of"
    for schema in ("v1", "v1h")
    for name in view_files()
)


def read_alone(script: str, query: str) -> tuple[list[Sequence[object]], str]:
    """What DuckDB alone says to a query after a text of SQL, and what went wrong."""
    paths = {"PYTHONPATH": str(Path(duckdb.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", _ALONE],
        input=json.dumps([script, query]),
        capture_output=True,
        text=True,
        env={**os.environ, **paths},
        timeout=300,
    )
    return (json.loads(done.stdout) if done.stdout else []), done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Sweeps under several policies, below a path that is full of SQL and patterns."""
    folder = tmp_path_factory.mktemp("plain") / 'it\'s [a] *?{b,c} -- "x"; 1\n#ü'
    good = Sweep(sweep_id="sweep-a", tasks=tuple(f"t{n}" for n in range(6)))
    for planned in good.plan():
        task = planned.test_id.removeprefix("bank/")
        is_damaged = planned.quant_tag == "Q2_K" and task != "t0"
        good.add(planned.quant_tag, task, passed=0 if is_damaged else 1)
    good.score("F16", "t0", [{1: 0.75, 2: 0.25}], role="REFERENCE")
    good.score("Q2_K", "t0", [{1: 0.5, 2: 0.5}])
    good.finish().store(folder)
    # Pollution alone keeps a quant out: it is told what would be advised with it.
    polluted = Sweep(sweep_id="sweep-b", started_at=START + timedelta(days=1))
    for planned in polluted.plan():
        others = ["x"] if planned.quant_tag == "Q2_K" else []
        task = planned.test_id.removeprefix("bank/")
        polluted.add(planned.quant_tag, task, other_models_resident=others)
    polluted.finish().store(folder)
    other = AdaptiveSweep(
        sweep_id="a'b/ü [1]",
        tasks=tuple(f"t{n:03}" for n in range(8)),
        policy=Policy(adherence_threshold_ppm=800_000, family_correlation_ppm=0),
        started_at=START + timedelta(days=2),
    )
    for planned in other.plan():
        other.add(planned.quant_tag, planned.test_id.removeprefix("bank/"))
    other.finish().store(folder)
    return Warehouse.open(folder)


@pytest.fixture(scope="module")
def script(store):
    """What `orket views --sql` writes of it."""
    return plain_sql(store)


def test_duckdb_alone_reads_in_every_view_what_orket_sql_reads(store, script):
    alone, faults = read_alone(script, _EVERY_ROW)
    assert faults == ""
    with store.locked_session() as session:
        own = session.answer(_EVERY_ROW).rows
    assert sorted(map(tuple, alone)) == sorted(own)
    told = {name for name, _ in own}
    assert {"v1.session_entry", "v1h.fidelity", "v1.proof_table"} <= told
    # The sweep of which pollution decides: what would be advised stands in its entry.
    (entry,) = [
        text for name, text in own if name == "v1.session_entry" and "sweep-b" in text
    ]
    assert "'if_polluted_included': {'minimum_viable_quant': Q2_K" in entry


def test_rows_that_come_later_are_read_and_what_is_not_covered_is_refused(tmp_path):
    older = Sweep(sweep_id="sweep-1").fill().finish()
    older.store(tmp_path)
    text = plain_sql(Warehouse.open(tmp_path))
    query = "SELECT sweep_id, quant_tag FROM v1.support ORDER BY ALL"
    later = Sweep(sweep_id="sweep-2", quants=("F16", "Q2_K"))
    later.fill().finish().store(tmp_path)
    rows, faults = read_alone(text, query)
    assert faults == ""
    assert [row[0] for row in rows] == ["sweep-1"] * 3 + ["sweep-2"] * 2
    # A threshold that no evidence was written down for, and rows where none had been.
    strict = Policy(adherence_threshold_ppm=990_000)
    unlike = Sweep(sweep_id="sweep-3", policy=strict)
    unlike.score("F16", "t1", [{1: 0.75, 2: 0.25}], role="REFERENCE")
    unlike.fill().finish().store(tmp_path)
    there = "SELECT view_name FROM duckdb_views() WHERE schema_name = 'v1'"
    rows, faults = read_alone(text, there)
    assert not {"support", "recommendation", "fidelity_row"} & {row[0] for row in rows}
    assert "write it again with orket views --sql" in faults


def test_a_path_that_no_pattern_can_say_is_refused(tmp_path):
    folder = tmp_path / "a\\b"
    Sweep().fill().store(folder)
    with pytest.raises(UsageError, match="backslash"):
        plain_sql(Warehouse.open(folder))


@pytest.fixture(scope="module")
def exported(store, tmp_path_factory):
    """Two of its sweeps as a file of DuckDB, alone in a folder."""
    target = tmp_path_factory.mktemp("exported") / "it's.duckdb"
    named = ["sweep-a", "sweep-b", "sweep-a"]
    export = ["export", "--duckdb", str(target), "-w", str(store.path)]
    assert run_command([*export, *named]) == 0
    return target


def test_a_duckdb_file_has_tables_with_comments_over_the_sweeps_named(store, exported):
    with duckdb.connect(str(exported), read_only=True) as file:
        rows = file.execute(_EVERY_ROW).fetchall()
        columns = file.execute(
            "SELECT schema_name, comment FROM duckdb_columns() WHERE "
            "table_name = 'frontier' AND column_name LIKE 'total_latency%' ORDER BY 1"
        ).fetchall()
        (told,) = file.execute(
            "SELECT comment FROM duckdb_tables() WHERE table_name = 'frontier'"
        ).fetchall()
    with store.session_over(["sweep-a", "sweep-b"]) as session:
        own = session.rows(_EVERY_ROW)
    assert sorted(rows) == sorted(tuple(row.values()) for row in own)
    assert told[0].startswith("Which quants are eligible")
    (plain, human) = columns
    assert plain[1].endswith(", ns")
    assert human == ("v1h", plain[1].removesuffix(", ns") + ", s")
    assert os.listdir(exported.parent) == [exported.name]


def test_a_duckdb_file_takes_no_place_unasked_and_is_whole_or_not_there(
    store, exported, tmp_path, capsys, monkeypatch
):
    def export(target, *more):
        named = ["export", "--duckdb", str(target), "-w", str(store.path), *more]
        code = run_command(named)
        return code, capsys.readouterr().err

    mine, target = tmp_path / "notes.txt", tmp_path / "views.duckdb"
    mine.write_text("mine")
    shutil.copy(exported, target)
    for refused in (export(mine), export(mine, "--force"), export(target)):
        assert refused[0] == 2
        assert "is there already" in refused[1]
    assert mine.read_text() == "mine"
    assert target.read_bytes() == exported.read_bytes()
    code, told = export(tmp_path / "no" / "x.duckdb")
    assert (code, len(told.splitlines())) == (1, 1)
    judged = ("sweep-b", "--force", "--adherence-threshold", "0.1")
    assert export(target, *judged)[0] == 0
    with duckdb.connect(str(target), read_only=True) as file:
        query = "SELECT sweep_id, adherence_threshold_percent FROM v1h.policy"
        assert file.execute(query).fetchall() == [("sweep-b", 10.0)]
    before = target.read_bytes()

    def fail(file: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orket.warehouse.export._add_human", fail)
    code, told = export(target, "sweep-b", "--force")
    assert code == 1
    assert "No space left on device" in told
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "views.duckdb"]


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ("wall_ns", "wall_seconds"),
        ("age_us", "age_seconds"),
        ("model_bytes", "model_mib"),
        ("swap_bytes_per_second", "swap_mib_per_second"),
        ("decode_tps_milli", "decode_tokens_per_second"),
        ("generation_tokens_per_second_milli", "generation_tokens_per_second"),
        ("rate_low_milli", "rate_low_tokens_per_second"),
        ("load1_milli", "load1"),
        ("adherence_micro", "adherence_percent"),
        ("bits_per_weight_micro", "bits_per_weight"),
        ("adherence_threshold_ppm", "adherence_threshold_percent"),
        ("own_adherence_nano", "own_adherence_percent"),
        ("paired_adherence_sum_nano", "paired_adherence_sum"),
        ("kld_nnats", "kld_nats"),
        ("nnats", "nats"),
        ("completion_tokens", "completion_tokens"),
        ("sweep_id", "sweep_id"),
    ],
)
def test_a_column_says_its_unit_by_its_name(column, shown):
    assert human_name(column) == shown


def test_every_view_in_human_units_has_its_own_columns_and_no_unit_of_storage():
    kept = "|".join(sorted({re.escape(unit.kept) for unit in UNITS}))
    query = (
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE schema_name = ? ORDER BY ALL"
    )
    with Warehouse.open("/nowhere").session() as session:
        session.show_human()
        plain, human = (session.rows(query, [schema]) for schema in ("v1", "v1h"))
    assert len(human) == len(plain)
    for row in human:
        view, column, kind, comment = row.values()
        assert human_name(column) == column, (view, column)
        inside = re.findall(r'"?(\w+_(?:ns|us|bytes|ppm|micro|nnats))"? [BD]', kind)
        assert not inside, (view, column, inside)
        assert not re.search(rf", (?:{kept})$", comment or ""), (view, column, comment)


def test_a_comment_keeps_what_follows_its_unit():
    told = "Share, ppm; NULL below two prompts"
    assert human_comment("same_top_ppm", told) == "Share, %; NULL below two prompts"
    assert human_comment("load1_milli", "Load, 1/1000") == "Load"
    assert human_comment("status", "Status, ns") == "Status, ns"


def test_values_in_human_units_are_those_of_the_integers(store):
    opened = orket.open(store.path)
    plain = opened.view("quant", sweep="sweep-a").sort("quant_tag")
    human = opened.view("v1h.quant", sweep="sweep-a").sort("quant_tag")
    for whole, shown in zip(plain["model_bytes"], human["model_mib"], strict=True):
        assert shown == whole / 2**20
    entries = opened.view("v1h.quant_entry", sweep="sweep-a")
    of_integers = opened.view("quant_entry", sweep="sweep-a")
    for one, other in zip(of_integers["entry"], entries["entry"], strict=True):
        assert other["peak_memory_mib"] == one["peak_memory_bytes"] / 2**20
        assert other["runs"] == one["runs"]
        low, high = one["adherence_interval_micro"]
        assert other["adherence_interval_percent"] == [low / 10**4, high / 10**4]
    walls = opened.sql("SELECT DISTINCT wall_seconds FROM v1h.runs", sweep="sweep-a")
    assert walls["wall_seconds"].to_list() == [600 * MS / 10**9]


def test_the_views_are_listed_and_described(capsys):
    assert run_command(["views", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["view"] for row in listed] == list(view_files())
    assert all(row["meaning"] for row in listed)
    described = {}
    for name in ("quant_sidecar", "v1.quant_sidecar", "v1h.quant_sidecar"):
        assert run_command(["views", name, "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        described[name] = {row["column"]: row["meaning"] for row in rows}
    assert described["quant_sidecar"] == described["v1.quant_sidecar"]
    rate = described["quant_sidecar"]["decode_tps_milli"]
    assert rate == "Generation, median, 1/1000 tokens per second"
    human = described["v1h.quant_sidecar"]["decode_tokens_per_second"]
    assert human == "Generation, median, tokens/s"
    # What is passed on from a view below keeps what it means there.
    assert described["quant_sidecar"]["quant_tag"]
    assert run_command(["views", "frontir"]) == 2
    assert "did you mean frontier?" in capsys.readouterr().err


def test_views_as_sql_need_a_warehouse_that_is_there(tmp_path, capsys):
    nowhere = str(tmp_path / "no")
    assert run_command(["views", "--sql", "-w", nowhere]) == 2
    assert "there is no warehouse" in capsys.readouterr().err
    assert run_command(["views", "frontier", "--sql", "-w", str(tmp_path)]) == 2
    assert "leave the name" in capsys.readouterr().err
    assert run_command(["views", "--sql", "-w", str(tmp_path)]) == 0
    assert "CREATE VIEW v1.summary AS" in capsys.readouterr().out
