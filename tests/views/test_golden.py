"""Views and summaries against files that were checked by hand.

`pytest tests/views --update-golden` rewrites them; the diff is the review.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import jsonschema
import pytest

from orket.exports.model import SweepSummary, json_schema
from orket.exports.summary import render_summary
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


@pytest.mark.parametrize("name", CASES)
def test_views_and_summary_equal_their_golden_files(name, tmp_path, request):
    warehouse = CASES[name](tmp_path / "warehouse")
    with warehouse.session(name) as session:
        found = {
            view: session.rows(f"SELECT * FROM v1.{view} ORDER BY ALL")
            for view in VIEWS
        }
        (summary,) = session.rows("SELECT summary FROM v1.summary")
    files = {
        f"{view}.json": render_rows(rows)
        for view, rows in found.items()
        if rows and not (view in LARGE and len(rows) > MOST_ROWS)
    }
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


@pytest.mark.parametrize("name", CASES)
def test_golden_summaries_keep_the_published_schema(name):
    text = (GOLDEN / name / "sweep_summary.json").read_text()
    jsonschema.validate(json.loads(text), json_schema())
    assert SweepSummary.model_validate_json(text).sweep_id == name


def render_rows(rows: list[dict[str, Any]]) -> bytes:
    """One line a row, so that a diff shows the row that changed."""
    lines = ",\n".join(json.dumps(row, default=plain, sort_keys=False) for row in rows)
    return f"[\n{lines}\n]\n".encode()


def plain(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
