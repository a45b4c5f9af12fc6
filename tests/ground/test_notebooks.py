"""Every notebook runs from top to bottom on the reference sweep that ships."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("folder", [ROOT, ROOT / "notebooks"], ids=lambda it: it.name)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("ORKET_WAREHOUSE", raising=False)
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    shown = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]
    assert len(shown) >= sum(cell.cell_type == "code" for cell in notebook.cells)


def test_there_is_a_notebook():
    assert NOTEBOOKS
