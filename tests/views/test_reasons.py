"""The catalogue of reasons: every code is spelled there, and has its words."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

import orket
from orket.resources import shipped
from orket.warehouse import Warehouse
from orket.warehouse.reasons import code_of, known_reasons, reason_named
from tests.places import ROOT

VIEWS = {path.name: path for path in (shipped("sql") / "v1").glob("*.sql")}
ALSO_STATUSES = {
    "ADHERENCE_UNAVAILABLE",
    "CLOCK_INCONSISTENT",
    "LATENCY_UNAVAILABLE",
    "NO_BASELINE",
    "NOT_RUN",
    "PROMPT_CACHE_HIT",
}
"""Codes whose word is a status elsewhere as well: of a rate, a comparison, a gate."""


def test_what_is_read_of_the_sql_is_what_duckdb_makes_of_it(tmp_path):
    with Warehouse.open(tmp_path).session() as session:
        rows = session.rows("SELECT * FROM v1.reason")
    assert [asdict(reason) for reason in known_reasons()] == rows
    assert len(rows) > 100


def test_a_code_is_listed_once_in_its_scope():
    listed = [(reason.scope, reason.code) for reason in known_reasons()]
    signals = [(reason.scope, reason.signal) for reason in known_reasons()]
    assert len(set(listed)) == len(listed)
    assert len(set(signals)) == len(signals)


def test_every_reason_says_what_it_means_and_what_to_do():
    for reason in known_reasons():
        assert reason.meaning, reason.code
        assert reason.remedy, reason.code
        if reason.scope == "run":
            assert reason.kind in ("polluting", "advisory")
            assert None not in (reason.is_curable, reason.is_admissible, reason.fault)


@pytest.mark.parametrize(
    "reason",
    [reason for reason in known_reasons() if reason.code not in ALSO_STATUSES],
    ids=lambda reason: f"{reason.scope}-{reason.code}",
)
def test_a_code_is_spelled_in_the_catalogue_alone(reason):
    """So that to rename one is to change one file."""
    word = re.compile(rf"['\"]{reason.code}['\"]")
    folders = (Path(orket.__file__).parent, ROOT / "benchmarks", ROOT / "tools")
    files = [*VIEWS.values(), *(path for f in folders for path in f.rglob("*.py"))]
    spelled = [path.name for path in files if word.search(path.read_text("utf-8"))]
    assert spelled == ["000_reason.sql"]


def test_every_signal_of_the_catalogue_is_a_fact_of_some_view():
    code = {name: path.read_text("utf-8") for name, path in VIEWS.items()}
    del code["000_reason.sql"]
    for reason in known_reasons():
        word = f"'{reason.signal}'"
        assert [name for name, text in code.items() if word in text], word


def test_every_signal_of_a_view_is_in_the_catalogue():
    known = {reason.signal for reason in known_reasons()}
    for name, path in VIEWS.items():
        named = re.findall(r"'signal': '(\w+)'", path.read_text("utf-8"))
        assert set(named) <= known, name


def test_what_is_not_in_the_catalogue_has_no_code():
    assert reason_named("run", "OF_ANOTHER_VERSION") is None
    with pytest.raises(KeyError, match="no reason of scope run stands for nothing"):
        code_of("run", "nothing")
