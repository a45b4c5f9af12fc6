"""Reads a sweep's summary out of a warehouse, and writes it to a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orket.errors import OrketError, UsageError, WarehouseError
from orket.exports.by_now import row_by_now
from orket.exports.summary import summary_document
from orket.text import nearest

if TYPE_CHECKING:
    from orket.warehouse import Warehouse
    from orket.warehouse.session import Session


def load_summary_row(
    warehouse: Warehouse, sweep_id: str, overrides: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """The struct that `v1.summary` returns for one sweep, with its status by now.

    `overrides` are policy fields by name: a what-if, judged without a new run.
    """
    row = load_recorded_row(warehouse, sweep_id, overrides)
    return row_by_now(warehouse, row)


def load_recorded_row(
    warehouse: Warehouse, sweep_id: str, overrides: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """The struct that `v1.summary` returns for one sweep: what its rows alone tell.

    `overrides` are policy fields by name: a what-if, judged without a new run.
    """
    overrides = overrides or {}
    from orket.warehouse.kept import read_sweeps

    if any(overrides.get(key) for key in ("buckets", "families")):
        with warehouse.session(sweep_id) as session:
            check_scope(session, sweep_id, overrides)
    rows = list(read_sweeps(warehouse, [sweep_id], overrides))
    if not rows:
        raise WarehouseError(
            f"sweep {sweep_id} has no manifest in {warehouse.place}",
            "see what is there with: orket sweeps",
        )
    return rows[0].summary


def load_summary(
    warehouse: Warehouse, sweep_id: str, overrides: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """One sweep's summary as plain values, the content of `sweep_summary.json`."""
    return summary_document(load_summary_row(warehouse, sweep_id, overrides))


def read_scope(path: Path) -> Any:
    """The scope of the summary in a file: None for one of a whole sweep, or for no
    summary at all."""
    import json

    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document.get("scope") if isinstance(document, dict) else None


def load_answers(
    warehouse: Warehouse, sweep_id: str, overrides: Mapping[str, object]
) -> list[dict[str, Any]]:
    """What is advised of each model: the rows of `v1.recommendation`."""
    from orket.warehouse.kept import read_sweeps

    found = list(read_sweeps(warehouse, [sweep_id], overrides))
    return found[0].answers if found else []


def load_bucket_answers(
    warehouse: Warehouse,
    sweep_id: str,
    buckets: Sequence[str],
    overrides: Mapping[str, object],
) -> dict[str, list[dict[str, Any]]]:
    """What is advised of each model by the tasks of each bucket alone."""
    from orket.warehouse.kept import read_buckets

    return read_buckets(warehouse, sweep_id, buckets, overrides)


def check_scope(
    session: Session, sweep_id: str, overrides: Mapping[str, object]
) -> None:
    """Raise UsageError for a bucket or family that no task of the sweep has."""
    from orket.warehouse.raw import TASK_SCOPE

    for key, kind in TASK_SCOPE.items():
        wanted = overrides.get(key)
        if not isinstance(wanted, Sequence):
            continue
        known = {
            row["name"]
            for row in session.rows(
                f"SELECT DISTINCT task.entry.{kind} AS name FROM raw.sweeps "
                "CROSS JOIN unnest(tasks) AS task (entry) WHERE sweep_id = ?",
                [sweep_id],
            )
        } - {None}
        for name in wanted:
            if name not in known:
                raise UsageError(
                    f"no task of sweep {sweep_id} is of {kind} {name!r}",
                    nearest(name, sorted(known), list_all=True)
                    if known
                    else f"its tasks have no {kind}",
                )


def write_file(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it there. Raises OrketError.

    What is no plain file is written into: a rename would replace a device or a link.
    """
    if is_special(path):
        try:
            path.write_bytes(content)
        except OSError as failure:
            raise _unwritable(path, failure) from failure
        return
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as failure:
        raise _unwritable(path, failure) from failure
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as failure:
        Path(name).unlink(missing_ok=True)
        raise _unwritable(path, failure) from failure


def is_special(path: Path) -> bool:
    """Whether something other than a plain file has this name: a device, a link."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def _unwritable(path: Path, failure: OSError) -> OrketError:
    if isinstance(failure, FileNotFoundError) and not path.parent.is_dir():
        # A folder that is made for a name with a slip in it is found by nobody.
        return OrketError(
            f"cannot write {path}: there is no folder {path.parent}",
            "make it, or name another file with -o",
        )
    return OrketError(
        f"cannot write {path}: {failure.strerror or failure}",
        "name another file with -o",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
