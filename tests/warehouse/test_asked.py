"""A query opens what it names and nothing else: told by tearing all the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from orket.errors import WarehouseError
from orket.records import DATASETS
from orket.warehouse import Warehouse
from orket.warehouse.view_files import view_files
from tests.built_sweep import Sweep

BY_SWEEP = [
    "SELECT DISTINCT sweep_id FROM v1.run_quality WHERE sweep_id = 'good'",
    "SELECT DISTINCT sweep_id FROM raw.runs AS r WHERE 'good' = r.sweep_id AND true",
    "SELECT DISTINCT sweep_id FROM runs JOIN v1.frontier USING (sweep_id, quant_tag) "
    "WHERE runs.sweep_id IN ('good', 'not there', '') AND quant_tag <> ''",
]
OVER_ALL = [
    "SELECT sweep_id FROM v1.manifest",
    "SELECT sweep_id FROM v1.manifest WHERE sweep_id = 'good' OR kind = 'START'",
    "SELECT sweep_id FROM v1.manifest WHERE sweep_id <> 'bad'",
    "SELECT a.sweep_id FROM manifest a, manifest b WHERE a.sweep_id = 'good'",
    "SELECT a.sweep_id FROM manifest a LEFT JOIN manifest b USING (sweep_id) "
    "WHERE b.sweep_id = 'good'",
    "SELECT sweep_id FROM manifest WHERE sweep_id = 'good' "
    "AND EXISTS (SELECT 1 FROM manifest)",
    "WITH x AS (FROM manifest) SELECT sweep_id FROM x WHERE sweep_id = 'good'",
    "SELECT sweep_id FROM manifest WHERE sweep_id = 'good' UNION FROM manifest "
    "SELECT sweep_id",
    "SELECT event_id FROM v1.baseline_health WHERE sweep_id = 'good'",
]
OF_NO_SWEEP = {
    "baseline_prune",
    "diff_fact",
    "diff_quant",
    "diff_speed",
    "diff_task",
    "drift",
    "evidence_level",
    "reason",
    "stop_reason",
}
"""Views without a sweep, beside the tables of evidence."""
OF_ALL_SWEEPS = {
    "baseline_health",
    "baseline_record",
    "kpi_history",
    "matrix",
    "version_change",
}
"""Views of which a row of one sweep hangs on others."""


@pytest.fixture(scope="module")
def torn(tmp_path_factory) -> Path:
    """A whole sweep, beside one all of whose parts are torn."""
    folder = Path(tmp_path_factory.mktemp("asked"))
    for name in ("good", "bad"):
        Sweep(sweep_id=name, quants=("F16",), tasks=("t1",)).fill().store(folder)
    for dataset in DATASETS:
        for part in (folder / dataset).glob("sweep_id=bad/*.parquet"):
            part.write_bytes(b"torn")
    return folder


@pytest.mark.parametrize("query", BY_SWEEP)
def test_a_query_over_one_sweep_opens_no_part_of_another(torn, query):
    with Warehouse.open(torn).locked_session() as session:
        assert session.answer(query).rows == [("good",)]


def test_no_view_of_one_sweep_opens_a_part_of_another(torn):
    assert view_files().keys() >= OF_NO_SWEEP | OF_ALL_SWEEPS
    by_sweep = [
        name
        for name in view_files()
        if name not in OF_NO_SWEEP | OF_ALL_SWEEPS and not name.endswith("_table")
    ]
    joined = " ".join(f"JOIN v1.{name} USING (sweep_id)" for name in by_sweep)
    # All at once, since each session costs seconds; what is joined is of no interest.
    query = (
        f"SELECT count(*) FROM raw.sweeps {joined} WHERE sweep_id = '{{}}' AND 1 = 0"
    )
    with Warehouse.open(torn).locked_session() as session:
        assert session.answer(query.format("good")).rows == [(0,)]
        with pytest.raises(WarehouseError, match="sweep bad cannot be read"):
            session.answer(query.format("bad"))


@pytest.mark.parametrize("query", OVER_ALL)
def test_a_query_that_may_need_other_sweeps_reads_them(torn, query):
    with (
        Warehouse.open(torn).locked_session() as session,
        pytest.raises(WarehouseError, match="sweep bad cannot be read"),
    ):
        session.answer(query)


def test_a_query_that_names_no_rows_opens_no_part(torn):
    with Warehouse.open(torn).locked_session() as session:
        assert session.answer("SELECT 1 AS one").rows == [(1,)]
        assert session.answer("SELECT count(*) > 9 FROM reason").rows == [(True,)]
        assert session.answer("SELECT n FROM range(2) AS t(n)").rows == [(0,), (1,)]


def test_queries_of_one_session_see_all_that_any_of_them_names(tmp_path):
    for name in ("one", "two"):
        Sweep(sweep_id=name, quants=("F16",), tasks=("t1",)).fill().store(tmp_path)
    with Warehouse.open(tmp_path).locked_session() as session:
        one = "SELECT count(*) FROM v1.attempts WHERE sweep_id = 'one'"
        assert session.answer(one).rows == [(1,)]
        assert session.answer(one.replace("one", "two")).rows == [(1,)]
        assert session.answer("SELECT count(*) FROM v1.attempts").rows == [(2,)]
        assert session.answer(one).rows == [(1,)]


def test_the_catalogue_shows_every_view_with_its_comments(tmp_path):
    with Warehouse.open(tmp_path).locked_session() as session:
        views = session.answer(
            "SELECT view_name FROM duckdb_views() WHERE NOT internal"
        )
        assert {("summary",), ("attempts",), ("runs",)} <= set(views.rows)
        comments = session.answer(
            "SELECT count(*) FROM duckdb_columns() WHERE schema_name = 'v1' "
            "AND comment IS NULL"
        )
        assert comments.rows == [(0,)]
