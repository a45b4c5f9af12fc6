"""Every notebook runs from top to bottom, and shows what is kept of it.

What is kept was made by `python tools/docs/notebooks.py`, and holds pictures, so that a
viewer that runs nothing shows them.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.places import ROOT
from tools.docs.notebooks import NOTEBOOKS, run_notebook

MAKE = "python tools/docs/notebooks.py"
FIGURE = re.compile(r"[\w.%+/-]+")


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> list[str]:
    """The words and figures that a cell shows, without the frames around them."""
    said = []
    for output in cell.outputs:
        data = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" not in data:
            said += FIGURE.findall(data["text/plain"])
    return said


def pictures(cell: Any) -> list[bytes]:
    return [
        base64.b64decode(output.data["image/png"])
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_kept_of_it(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("ORKET_WAREHOUSE", raising=False)
    # One from the root of the checkout, the others from their own folder.
    folder = ROOT if path == NOTEBOOKS[0] else path.parent
    kept = code_of(nbformat.read(path, as_version=4))
    run = code_of(run_notebook(path, folder))
    for before, now in zip(kept, run, strict=True):
        assert shown(now) == shown(before), f"{path.name} is stale: {MAKE}"
        assert len(pictures(now)) == len(pictures(before)), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_kept_is_whole(path):
    cells = code_of(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    # The first cell imports; each of the others shows something or only defines.
    assert sum(bool(cell.outputs) for cell in cells) >= len(cells) - 2
    drawn = [picture for cell in cells for picture in pictures(cell)]
    assert len(drawn) >= 2
    for picture in drawn:
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000, "an empty picture"
    text = path.read_text("utf-8")
    assert str(Path.home()) not in text and str(ROOT) not in text
    code = "\n".join(cell.source for cell in cells)
    assert not re.search(r"1e[369]|10\*\*|2\*\*", code), "v1h has people's units"


def test_there_are_three_and_each_speaks_both_languages():
    assert [path.stem for path in NOTEBOOKS] == [
        "choosing",
        "first_look",
        "pollution_and_drift",
    ]
    for path in NOTEBOOKS:
        code = "\n".join(
            cell.source for cell in code_of(nbformat.read(path, as_version=4))
        )
        assert ".sql(" in code or "both(" in code
        assert ".view(" in code and "pl." in code
