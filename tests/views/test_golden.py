"""Views and summaries against files that were checked by hand.

`pytest tests/views --update-golden` rewrites them; the diff is the review.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jsonschema
import pytest
from jsonschema.protocols import Validator

from orket.exports.model import SweepSummary, json_schema
from orket.exports.summary import render_summary
from orket.warehouse import Warehouse
from tests.golden_cases import CASES
from tests.places import GOLDEN

GOLDEN = GOLDEN / "views"
VIEWS = (
    "runs",
    "determinism",
    "canary",
    "task_aggregate",
    "quant_aggregate",
    "quant_comparison",
    "baseline_candidate",
    "baseline_match",
    "frontier",
    "proof",
    "next_round",
    "recommendation",
    "sidecar",
    "fidelity",
    "fidelity_position",
    "stability_kpi",
)
# What a person reviews: the large sweeps are held by their aggregates alone.
LARGE = {
    "runs",
    "determinism",
    "task_aggregate",
    "baseline_candidate",
    "baseline_match",
}
MOST_ROWS = 40


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """All of them in one warehouse, which are judged each as if it were alone."""
    folder = tmp_path_factory.mktemp("golden")
    for name in CASES:
        CASES[name](folder)
    return Warehouse.open(folder)


@pytest.fixture(scope="module")
def found(store: Warehouse) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The rows of each view by sweep."""
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in CASES}
    with store.session() as session:
        for view in VIEWS:
            for row in session.rows(f"SELECT * FROM v1.{view} ORDER BY ALL"):
                rows[row["sweep_id"]].setdefault(view, []).append(row)
        for row in session.rows("SELECT sweep_id, summary FROM v1.summary"):
            rows[row["sweep_id"]]["summary"] = [row]
    return rows


@pytest.mark.parametrize("name", CASES)
def test_views_and_summary_equal_their_golden_files(name, found, request):
    files = {
        f"{view}.json": render_rows(rows)
        for view, rows in found[name].items()
        if view in VIEWS and not (view in LARGE and len(rows) > MOST_ROWS)
    }
    (summary,) = found[name]["summary"]
    files["sweep_summary.json"] = render_summary(summary["summary"])
    folder = GOLDEN / name
    if request.config.getoption("--update-golden"):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.iterdir():
            stale.unlink()
        for file, content in files.items():
            (folder / file).write_bytes(content)
    assert {path.name for path in folder.iterdir()} == set(files)
    for file, content in files.items():
        assert (folder / file).read_text() == content.decode(), f"{name}/{file}"


@pytest.fixture(scope="module")
def published() -> Validator:
    return jsonschema.validators.validator_for(json_schema())(json_schema())


@pytest.mark.parametrize("name", CASES)
def test_golden_summaries_keep_the_published_schema(name, published):
    text = (GOLDEN / name / "sweep_summary.json").read_text()
    published.validate(json.loads(text))
    assert SweepSummary.model_validate_json(text).sweep_id == name


def render_rows(rows: list[dict[str, Any]]) -> bytes:
    """One line a row, so that a diff shows the row that changed."""
    lines = ",\n".join(json.dumps(row, default=plain, sort_keys=False) for row in rows)
    return f"[\n{lines}\n]\n".encode()


def plain(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
