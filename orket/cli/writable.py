"""Whether what a command is going to write can be written: asked before its work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from orket.errors import OrketError, WarehouseError

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

_INSTEAD = "name another file with -o"


def check_output(output: str | Path | None, instead: str = _INSTEAD) -> None:
    """Raise OrketError where a file could not be written; None and - are stdout.

    `instead` says what to do.
    """
    if output is None or str(output) == "-":
        return
    if problem := _output_problem(Path(output)):
        raise OrketError(f"cannot write {output}: {problem}", instead)


def _output_problem(path: Path) -> str | None:
    from orket.exports.load import is_special

    if path.is_dir():
        return "it is a folder"
    if path.exists() and is_special(path):
        return None if os.access(path, os.W_OK) else "it is not to be written"
    return _folder_problem(path.absolute().parent, path.parent)


def check_folder(folder: Path, instead: str) -> None:
    """Raise OrketError where nothing can be written into a folder, made or not."""
    if problem := _folder_problem(_nearest(folder.absolute()), folder):
        raise OrketError(f"cannot write into {folder}: {problem}", instead)


def check_warehouse(store: Warehouse) -> None:
    """Raise WarehouseError where rows could not be appended to a warehouse.

    Its folder is asked, and those of its datasets; none of them is made.
    """
    from orket.records import DATASETS

    folder = store.path.absolute()
    asked = [folder / dataset for dataset in DATASETS if (folder / dataset).is_dir()]
    for place in [_nearest(folder), *asked]:
        if problem := _folder_problem(place, place):
            raise WarehouseError(
                f"cannot write to the warehouse {store.place}: {problem}",
                "name another with -w, or in ORKET_WAREHOUSE",
            )


def _nearest(folder: Path) -> Path:
    """The folder, or what there is above it: whatever is missing is made later."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _folder_problem(folder: Path, named: Path) -> str | None:
    """Why no file can be made in a folder; None where one can. It leaves none."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as failure:
        return f"{named}: {failure.strerror or failure}"
