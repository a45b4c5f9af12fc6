"""Runs every notebook and keeps what it shows: `python tools/docs/notebooks.py`.

Pictures are kept as PNG, so that they are seen wherever the repository is read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run_notebook(path: Path, folder: Path) -> Any:
    """The notebook as it is after all its cells have run, in `folder`.

    Raises nbclient's CellExecutionError for a cell that fails.
    """
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def main() -> None:
    """Run those that are named, else all, and write what they show."""
    os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH") or str(ROOT)
    named = [Path(name).resolve() for name in sys.argv[1:]] or NOTEBOOKS
    for path in named:
        ran = run_notebook(path, path.parent)
        nbformat.write(ran, path)  # type: ignore[no-untyped-call]
        print(f"ran {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
