"""Names as bad as they come, of models, quants, tasks, sweeps, through every verb."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orket.cli.main import run_command
from orket.records import to_json
from orket.text import is_active
from orket.warehouse import Warehouse
from tests.built_sweep import Sweep
from tests.nightly import nightly

NAMES = {
    "a path": "../../etc/passwd",
    "quotes": "a'b\"c`d$(e);--",
    "lines": "one\ntwo\r\x1b[2Jthree",
    "marks": "a\u202eb\u200bc\u2028d",
    "emoji": "🦙/👩‍👩‍👧 %2F sweep_id=x",
    "HTML": "</script><script>alert(1)</script>{{7*7}}",
    "SQL": "x' OR 1=1; DROP TABLE runs --",
    "an option": "--format=json",
    "long": "ä" * 5000,
}


PLACES = (
    ("a path", "quotes", "lines", "emoji"),
    *nightly(
        ("SQL", "long", "an option", "marks"),
        ("emoji", "HTML", "an option", "a path"),
        ("SQL", "long", "marks", "HTML"),
        ("lines", "a path", "SQL", "long"),
    ),
)
"""Of a sweep, its model, a quant and a task; `tests/report` has HTML by day too."""


@pytest.mark.parametrize(("sweep", "model", "quant", "task"), PLACES)
def test_a_hostile_name_goes_through_every_verb_as_a_name(
    tmp_path, sweep, model, quant, task, capsys
):
    sweep_id, name = NAMES[sweep], NAMES[model]
    quant, task = NAMES[quant], NAMES[task]
    home = tmp_path / "home"
    home.mkdir()
    sweep = Sweep(
        sweep_id=sweep_id, model_id=name, quants=("F16", quant), tasks=(task,)
    )
    sweep.fill().finish()
    rows = [sweep.sweep_row(), *sweep.runs, *sweep.events]
    source = home / "rows.jsonl"
    source.write_bytes(b"".join(to_json(row) + b"\n" for row in rows))
    place = home / "warehouse"

    def run(*words: str) -> str:
        code = run_command([words[0], "-w", str(place), *words[1:]])
        shown = capsys.readouterr()
        assert code == 0, shown.err
        for text in (shown.out, shown.err):
            assert not any(map(is_active, text.replace("\n", ""))), words
        return str(shown.out)

    run("ingest", str(source))
    store = Warehouse(place)
    # Parts of one run each, so that there is something to fold.
    for attempt in sweep.runs:
        store.append("runs", [attempt], sweep_id)
    assert store.sweep_ids() == [sweep_id]
    shown = json.loads(run("show", "--format", "json", "--", sweep_id))
    assert {session["model_id"] for session in shown["sessions"]} == {name}
    run("show", "--format", "md", "--", sweep_id)
    run("sweeps", "--format", "table")
    run("export", "-o", str(home / "summary.json"), "--", sweep_id)
    assert json.loads((home / "summary.json").read_text())["sweep_id"] == sweep_id
    run("bundle", "-o", str(home / "bundle.tar"), "--", sweep_id)
    run("report", "-o", str(home / "report.html"), "--", sweep_id)
    page = (home / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    run("compact", "--", sweep_id)
    assert len(store.parts("runs", sweep_id)) == 1
    run("verify", "--", sweep_id)
    run("verify", str(home / "bundle.tar"))
    assert json.loads(run("show", "--format", "json", "--", sweep_id)) == shown
    # Nothing was written anywhere else.
    assert {path.name for path in home.iterdir()} == {
        "rows.jsonl",
        "warehouse",
        "summary.json",
        "bundle.tar",
        "report.html",
    }
    assert os.listdir(tmp_path) == ["home"]


@pytest.mark.parametrize("name", ["", "x" * 300, "ä" * 50, "\x00", "."])
def test_an_id_that_no_folder_can_have_is_refused_by_name(tmp_path, name, capsys):
    row = to_json(Sweep(sweep_id=name).fill().runs[0])
    source = tmp_path / "rows.jsonl"
    source.write_bytes(row + b"\n")
    code = run_command(["ingest", str(source), "-w", str(tmp_path / "warehouse")])
    shown = capsys.readouterr()
    if name in (".", "\x00"):  # Quoted, they can.
        assert code == 0
        assert Warehouse(tmp_path / "warehouse").parts("runs", name)
        return
    assert code == 2
    assert "sweep_id" in shown.err
    assert list(Path(tmp_path / "warehouse").rglob("part-*")) == []
