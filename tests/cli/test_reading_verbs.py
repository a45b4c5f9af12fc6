"""show, export, sweeps, sql and kpi over a small warehouse, end to end."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import jsonschema
import msgspec
import pytest

import orket
from orket.cli.main import run_command
from orket.cli.output import show_value
from orket.errors import LimitReached, UsageError, WarehouseError
from orket.exports.json_text import render_json
from orket.exports.model import json_schema
from orket.warehouse import Warehouse
from orket.warehouse.query import QueryLimits
from tests import golden_cases
from tests.built_sweep import START, Sweep
from tests.nightly import nightly


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """Two sweeps: one with a clear answer, and a later one that failed throughout."""
    folder = tmp_path_factory.mktemp("reading") / "warehouse"
    good = Sweep(sweep_id="sweep-a", tasks=tuple(f"t{n}" for n in range(6)))
    for planned in good.plan():
        task = planned.test_id.removeprefix("bank/")
        damaged = planned.quant_tag == "Q2_K" and task != "t0"
        wall_ms = {"F16": 900, "Q4_K_M": 600, "Q2_K": 550}[planned.quant_tag]
        good.add(planned.quant_tag, task, passed=0 if damaged else 1, wall_ms=wall_ms)
    good.finish().store(folder)
    failed = Sweep(sweep_id="sweep-b", started_at=START + timedelta(days=3))
    failed.fill(passed=None, outcome="FAILED", error_class="HTTP_503")
    failed.finish().store(folder)
    return str(folder)


@pytest.fixture
def run(warehouse, capsys):
    """Run a verb on that warehouse: exit code, stdout, stderr."""

    def call(*args):
        code = run_command([*args, "-w", warehouse])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def test_show_says_which_quant_and_why_not_the_others(run):
    code, out, err = run("show", "sweep-a")
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "100.0 (61 to 100)" in lines["F16"]
    assert "yes: safe choice" in lines["F16"]
    assert "yes: smallest that passes" in lines["Q4_K_M"]
    assert "no: does too little of the work" in lines["Q2_K"]
    assert (
        "m: F16 is the safe choice: it is not shown yet that a smaller one does" in out
    )
    assert "smallest that passes Q4_K_M NEEDS_MORE_TASKS" in out


def test_show_latest_is_the_default_and_no_frontier_is_a_result(run):
    code, out, _ = run("show")
    assert code == 0
    assert "sweep-b" in out
    assert "No recommendation for m" in out
    assert "HTTP_503 (6 runs of F16, Q4_K_M, Q2_K)" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "sweep-a"],
        ["explain", "RUN", "sweep-a"],
        ["matrix"],
        *nightly(["why", "Q2_K", "sweep-a"], ["sweeps"], ["kpi"]),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_torn_event_keeps_no_verb_that_shows_from_what_can_be_read(
    arguments, warehouse, tmp_path, capsys
):
    torn = tmp_path / "warehouse"
    shutil.copytree(warehouse, torn)
    with Warehouse(torn).session("sweep-a") as session:
        (run_id,) = session.rows("SELECT min(run_id) AS run_id FROM v1.runs")
    named = [word.replace("RUN", run_id["run_id"]) for word in arguments]
    assert run_command([*named, "-w", str(torn)]) == 0
    whole = capsys.readouterr().out
    other = Sweep(sweep_id="sweep-c", started_at=START + timedelta(days=5))
    other.fill().finish().store(torn)
    shutil.rmtree(torn / "sweeps" / "sweep_id=sweep-c")
    shutil.rmtree(torn / "runs" / "sweep_id=sweep-c")
    (added,) = set(Warehouse(torn).parts("events")) - {
        torn / part.relative_to(warehouse)
        for part in Warehouse.open(warehouse).parts("events")
    }
    added.write_bytes(added.read_bytes()[:200])
    assert run_command([*named, "-w", str(torn)]) == 0
    shown = capsys.readouterr()
    assert shown.out == whole
    assert "it is of another sweep" in shown.err
    # Folded, or of before parts of events were named after their sweep: of any sweep.
    untold = added.rename(added.with_name(f"{added.name.partition('.')[0]}.parquet"))
    assert run_command([*named, "-w", str(torn)]) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines()[-1].endswith(str(untold))


def test_show_judges_again(run):
    _, out, _ = run("show", "sweep-a", "--adherence-threshold", "0.1")
    (damaged,) = [line for line in out.splitlines() if line.startswith("Q2_K")]
    assert "yes" in damaged
    assert "adherence_threshold=0.1" in out


def test_export_keeps_the_schema_and_gives_the_same_bytes(run, tmp_path):
    target = tmp_path / "summary.json"
    code, out, err = run("export", "sweep-a", "-o", str(target))
    assert (code, out) == (0, "")
    assert err == f"orket: wrote {target}\n"
    document = json.loads(target.read_bytes())
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    assert run("export", "sweep-a")[1].encode() == target.read_bytes()
    assert run("export", "sweep-a", "-o", "-")[1].encode() == target.read_bytes()
    summary = orket.SweepSummary.model_validate(document)
    assert summary.sessions[0].recommendation_detail.best_value_quant == "Q4_K_M"
    assert summary.overrides == {}


def test_export_records_what_was_judged_again(run):
    given = ("--adherence-threshold", "0.1", "--latency-ceiling", "0.58")
    document = json.loads(run("export", "sweep-a", *given)[1])
    assert document["overrides"] == {
        "adherence_threshold": 0.1,
        "latency_ceiling": 0.58,
    }
    assert document["matrix"]["latency_ceiling"] == 0.58
    session = document["sessions"][0]
    assert session["thresholds"]["adherence_threshold"] == 0.1
    eligible = {q["quant_tag"]: q["eligible"] for q in session["per_quant"]}
    assert eligible == {"F16": False, "Q4_K_M": False, "Q2_K": True}
    again = json.loads(run("export", "sweep-a", "--include-polluted", "fill")[1])
    assert again["overrides"] == {"include_polluted": "fill"}
    assert again["include_polluted"] == "fill"
    again = json.loads(run("export", "sweep-a", "--allow-unobserved")[1])
    assert again["overrides"] == {"allow_unobserved": True}
    assert again["allow_unobserved"] is True


def test_export_to_a_missing_folder_is_one_line(run, tmp_path):
    code, _, err = run("export", "sweep-a", "-o", str(tmp_path / "no" / "s.json"))
    assert code == 1
    assert err.startswith("orket: error: cannot write")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["show", "export", "kpi"])
def test_an_unknown_sweep_names_the_known_ones(run, verb):
    code, out, err = run(verb, "sweep-x")
    assert (code, out) == (2, "")
    assert "sweep-a" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["show", "export"])
def test_an_empty_warehouse_says_what_to_do(verb, tmp_path, capsys):
    assert run_command([verb, "-w", str(tmp_path)]) == 2
    assert "orket run quickstart" in capsys.readouterr().err


def test_sweeps_lists_oldest_first(run):
    code, out, _ = run("sweeps", "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert [row["sweep_id"] for row in rows] == ["sweep-a", "sweep-b"]
    assert [row["best_value"] for row in rows] == ["Q4_K_M", None]


def test_sweeps_of_one_machine_are_found_by_its_fingerprint(run):
    rows = json.loads(run("sweeps", "--format", "json")[1])
    (machine,) = {row["hardware_fingerprint"] for row in rows}
    for given in (machine, machine[:-1]):
        code, out, _ = run("sweeps", "--machine", given, "--format", "json")
        assert (code, json.loads(out)) == (0, rows)
    code, _, err = run("sweeps", "--machine", "nowhere")
    assert code == 2
    assert f"no machine of a sweep is nowhere: there are: {machine}" in err
    assert json.loads(run("sweeps", "--by-machine", "--format", "json")[1]) == rows


def test_a_sweep_that_its_budget_ended_reads_so_wherever_it_is_shown(tmp_path, capsys):
    """It finished, and is not decided: COMPLETED alone would tell nobody."""
    golden_cases.rounds_open().store(tmp_path)
    words = "undecided when the budget ended"

    def ask(*args: str) -> str:
        assert run_command([*args, "-w", str(tmp_path)]) == 0
        return " ".join(capsys.readouterr().out.split())

    (row,) = json.loads(ask("sweeps", "--format", "json"))
    assert (row["status"], row["stopped"]) == ("COMPLETED", words)
    assert f"Sweep rounds_open (COMPLETED: {words})" in ask("show", "rounds_open")
    assert json.loads(ask("export", "rounds_open", "-o", "-"))["status_reason"] == words
    assert f"Stopped: {words}; more time would tell more." in ask("show", "rounds_open")
    assert f"Stopped: {words}." in ask("why", "Q4_K_M", "rounds_open")


def test_a_decided_sweep_says_so(tmp_path, capsys):
    golden_cases.rounds_decided().store(tmp_path)
    assert run_command(["sweeps", "-w", str(tmp_path), "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["status"], row["stopped"]) == ("COMPLETED", "decided")
    assert run_command(["why", "Q4_K_M", "-w", str(tmp_path)]) == 0
    assert "Stopped" not in capsys.readouterr().out


def test_a_grid_has_nothing_that_stopped_it(run):
    rows = json.loads(run("sweeps", "--format", "json")[1])
    assert {row["stopped"] for row in rows} == {None}


def test_what_was_taken_up_again_and_broken_off_is_not_said_to_have_stopped(tmp_path):
    sweep = golden_cases.rounds_open()
    sweep.events.append(
        msgspec.structs.replace(
            sweep.events[-1],
            event_id="rounds_open-later",
            recorded_at=sweep.events[-1].recorded_at + timedelta(hours=1),
            event="SWEEP_ABORTED",
            reason="INTERRUPTED",
        )
    )
    store = sweep.store(tmp_path)
    with store.session("rounds_open") as session:
        assert session.rows("SELECT * FROM v1.stop") == []


def test_sweeps_of_an_empty_warehouse(tmp_path, capsys):
    assert run_command(["sweeps", "-w", str(tmp_path)]) == 0
    assert "there is no sweep" in capsys.readouterr().err


def test_sql_answers_in_every_format(run):
    query = "SELECT quant_tag, count(*) AS runs FROM v1.runs GROUP BY ALL ORDER BY ALL"
    assert run("sql", query, "--format", "csv")[1] == (
        "quant_tag,runs\nF16,8\nQ2_K,8\nQ4_K_M,8\n"
    )
    rows = json.loads(run("sql", query, "--format", "json", "--sweep", "sweep-b")[1])
    assert rows[0] == {"quant_tag": "F16", "runs": 2}
    assert "Q4_K_M" in run("sql", query, "--format", "table")[1]


def test_sql_reads_a_query_from_stdin(run, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 40 + 2 AS answer"))
    assert run("sql", "-")[1] == "answer\n42\n"


@pytest.fixture(scope="module")
def locked(warehouse):
    with Warehouse.open(warehouse).locked_session() as session:
        yield session


@pytest.mark.parametrize(
    "query",
    [
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW v1.runs",
        "INSERT INTO raw.policy_override SELECT * FROM raw.policy_override",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO 'escaped.csv'",
        "COPY v1.runs TO 'escaped.parquet'",
        "ATTACH 'escaped.db' AS x",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET threads = 4",
        "SET enable_external_access = true",
        "EXPORT DATABASE 'escaped'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_parquet('runs/*/*.parquet')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT getenv('HOME')",
        "PRAGMA enable_profiling",
        "PIVOT v1.attempts ON quant_tag USING count(*)",
        *(
            f"WITH x AS ({change}) SELECT count(*) FROM x"
            for change in (
                "UPDATE staged.attempts SET outcome = 'FORGED' RETURNING outcome",
                "INSERT INTO staged.attempts FROM staged.attempts RETURNING outcome",
                "DELETE FROM staged.attempts RETURNING outcome",
                "COPY (SELECT 1) TO 'escaped.csv'",
            )
        ),
        "SELECT (WITH x AS (DELETE FROM staged.attempts RETURNING 1) SELECT 1 FROM x)",
        "SELECT * FROM enable_logging('QueryLog', storage = 'file')",
        "SELEC 1",
        "SELECT no_such_column FROM v1.runs",
    ],
)
def test_sql_can_neither_change_nor_reach_anything(
    locked, query, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        locked.query(query)
    assert list(tmp_path.iterdir()) == []
    assert locked.query("SELECT count(*) AS n FROM v1.attempts")["n"].to_list() == [24]


@pytest.mark.parametrize("way", ["answer", "query"])
@pytest.mark.parametrize(
    ("limits", "query", "said"),
    [
        (
            QueryLimits(seconds=0.5),
            "SELECT count(*) FROM range(1000000000000) t(i) WHERE i * i % 7 = 3",
            "more than 0.5 s",
        ),
        (
            QueryLimits(memory_bytes=64 << 20),
            "SELECT repeat('x', 1000000) FROM range(200)",
            "more memory than 64 MiB",
        ),
    ],
)
def test_a_query_is_ended_when_it_takes_too_much(warehouse, way, limits, query, said):
    with Warehouse.open(warehouse).locked_session(limits=limits) as session:
        with pytest.raises(LimitReached, match=said) as ended:
            getattr(session, way)(query)
        assert ended.value.exit_code == 1
        # The session goes on, and its private folder goes with it.
        (spill,) = session.answer("SELECT current_setting('temp_directory')").rows[0]
        assert Path(spill).is_dir()
    assert not Path(spill).exists()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("interval 1 year", "1 year"),
        ("[interval 2 days]", "[2 days]"),
        ("map {1: 'a'}", {1: "a"}),
        ("union_value(num := 7)", "7"),
        ("'101'::bit", "101"),
        ("'12:00:00+02'::timetz", "12:00:00+02"),
        ("'infinity'::date", "infinity"),
        ("['-infinity'::timestamp]", "[-infinity]"),
        ("'290000-01-01 (BC)'::timestamp", "290000-01-01 (BC) 00:00:00"),
        ("2::hugeint ** 3::hugeint", 8),
        ("1.50::decimal(4, 2)", Decimal("1.50")),
        ("'ab'::blob", b"ab"),
        ("{'a': [1, NULL]}", {"a": [1, None]}),
    ],
)
def test_every_type_is_a_value_that_can_be_shown(locked, value, shown):
    query = f"SELECT {value} AS x"
    assert locked.answer(query).rows == [(shown,)]
    assert locked.query(query).height == 1


def test_every_type_of_duckdb_is_rendered(locked):
    """Extremes and NULL of each type DuckDB has, as rows, as JSON and as a frame."""
    everything = "SELECT * EXCLUDE (medium_enum) FROM test_all_types()"
    answer = locked.answer(everything)
    assert len(answer.rows) == 3
    for row in answer.rows:
        text = render_json(dict(zip(answer.columns, row, strict=True)))
        assert set(json.loads(text)) == set(answer.columns)
        assert all(isinstance(show_value(value), str) for value in row)
    assert len(locked.query(everything).rows()) == 3


def test_columns_of_one_name_are_told_apart(locked):
    assert locked.answer("SELECT 1 AS a, 2 AS a").columns == ["a", "a_2"]


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "0", "-1"])
@pytest.mark.parametrize(
    "command",
    [
        ["sql", "SELECT 1", "--timeout"],
        ["providers", "probe", "http://127.0.0.1:9", "--timeout"],
        ["mock-server", "ollama", "--decode-rate"],
    ],
    ids=lambda command: command[0],
)
def test_an_amount_without_an_end_is_no_amount(command, number, capsys):
    assert run_command([*command, number]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith(f"orket: error: Invalid value for '{command[-1]}': ")


def test_a_query_as_deep_as_a_well_is_refused_in_words(locked):
    assert locked.answer(f"SELECT {'[' * 50}1{']' * 50}").rows
    with pytest.raises(UsageError, match="nested too deeply"):
        locked.answer(f"SELECT {'[' * 900}1{']' * 900}")
    with pytest.raises(UsageError, match="nested too deeply"):
        locked.answer(f"SELECT {'(' * 3000}1{')' * 3000}")


def test_a_frame_of_a_notebook_is_as_locked(warehouse):
    opened = orket.open(warehouse)
    with pytest.raises(UsageError, match="only a single SELECT"):
        opened.sql("COPY (SELECT 1) TO '/tmp/escaped.csv'")
    with pytest.raises(UsageError):
        opened.sql("SELECT * FROM read_text('/etc/passwd')")
    assert opened.sql("SELECT interval 1 year AS x")["x"].to_list() == ["1 year"]


@pytest.mark.parametrize("query", ["DROP VIEW v1.runs", "SELECT * FROM '/etc/passwd'"])
def test_a_refused_query_is_one_line(run, query):
    code, out, err = run("sql", query)
    assert (code, out) == (2, "")
    assert err.startswith("orket: error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT * FROM v1.sidecars", "did you mean v1.sidecar or v1.quant_sidecar?"),
        ("SELECT * FROM v1.zzzzz", "orket views lists views and columns"),
        ("SELECT outcomes FROM v1.runs", "did you mean outcome"),
    ],
)
def test_a_refused_query_ends_with_a_hint(run, query, hint):
    assert hint in run("sql", query)[2]


def test_kpi_of_one_sweep_has_its_counts(run):
    rows = json.loads(run("kpi", "sweep-a", "--format", "json")[1])
    by_name = {row["kpi"]: row for row in rows}
    assert by_name["polluted_run_rate"]["count"] == 0
    assert by_name["polluted_run_rate"]["of"] == 18
    assert by_name["polluted_run_rate"]["met"] is True
    assert by_name["frontier_success_rate"]["value"] == 1
    assert by_name["determinism_rate"]["value"] is None


def test_kpi_check_never_passes_what_was_not_measured(run):
    code, _, err = run("kpi", "sweep-a", "--check")
    assert code == 4
    assert "determinism_rate is not measured" in err
    assert "polluted_run_rate" not in err


def test_kpi_check_names_what_is_not_met(run):
    code, out, err = run("kpi", "sweep-b", "--check", "--format", "csv")
    assert code == 4
    assert "polluted_run_rate is 1, must be < 0.1" in err
    assert out.startswith("kpi,value,count,of,")


def test_kpi_history_is_weighted_by_runs(run):
    rows = json.loads(run("kpi", "--format", "json")[1])
    by_name = {row["kpi"]: row for row in rows}
    assert (by_name["failed_run_rate"]["count"], by_name["failed_run_rate"]["of"]) == (
        6,
        24,
    )
    assert by_name["failed_run_rate"]["value"] == 0.25
    assert by_name["frontier_success_rate"]["value"] == 0.5


def test_kpi_since_a_date_leaves_out_what_was_before(run):
    rows = json.loads(run("kpi", "--since", "2026-02-01", "--format", "json")[1])
    assert {row["kpi"]: row["of"] for row in rows}["failed_run_rate"] == 6
    code, out, err = run("kpi", "--since", "2027-01-01")
    assert (code, out) == (0, "kpi,value,count,of,objective,target,met\n")
    assert "there is no such sweep" in err
    future = ("kpi", "--since", "2027-01-01")
    assert run(*future, "--format", "json")[1] == "[]\n"
    assert run(*future, "--format", "table")[1] == ""
    assert run("kpi", "--since", "2027-01-01", "--check")[0] == 4


def test_kpi_takes_a_sweep_or_a_date(run):
    code, _, err = run("kpi", "sweep-a", "--since", "2026-01-01")
    assert code == 2
    assert "not both" in err


def test_python_does_not_take_a_typo_for_an_empty_warehouse(tmp_path):
    with pytest.raises(WarehouseError, match="there is no warehouse .*nowhere"):
        orket.open(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError, match=r"is a file.*orket\.open\(\)"):
        orket.open(tmp_path / "file")
    assert orket.open(tmp_path).sweeps() == []


def test_python_gives_frames(warehouse):
    opened = orket.open(warehouse)
    assert opened.sweeps() == ["sweep-a", "sweep-b"]
    assert opened.view("quant_aggregate", sweep="sweep-a").height == 3
    assert opened.sql("SELECT count(*) AS n FROM v1.attempts")["n"].to_list() == [24]


def test_why_a_quant_is_out_reads_alike_in_the_answer_and_the_table(tmp_path, capsys):
    """Too few runs: the answer says which, and so does the table beside it."""
    tasks = tuple(f"t{n:02}" for n in range(20))
    sweep = Sweep(quants=("F16", "Q8_0", "Q2_K"), tasks=tasks)
    for task in tasks:
        sweep.add("F16", task)
        if task < "t05":
            sweep.add("Q8_0", task)
    sweep.finish().store(tmp_path)
    assert run_command(["show", "-w", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for quant, why in (("Q8_0", "not run to the end"), ("Q2_K", "not run")):
        assert f"{quant} ({why})" in told
        row = next(line for line in told.splitlines() if line.startswith(quant))
        assert row.rstrip().endswith(f"no: {why}")
