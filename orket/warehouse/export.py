"""The views as tables with their comments in a plain file of DuckDB."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from orket.errors import UsageError, WarehouseError
from orket.warehouse.connection import literal
from orket.warehouse.damage import first_line, full_disk
from orket.warehouse.human_units import human_comments, human_view
from orket.warehouse.view_files import HUMAN_SCHEMA, VIEW_VERSION, view_files

if TYPE_CHECKING:
    from orket.warehouse.store import Warehouse

_STORAGE_VERSION = "v1.2.0"
"""Read by every DuckDB since 1.2."""
_COMMENTS = """
SELECT 'TABLE', view_name, comment FROM duckdb_views()
WHERE schema_name = $1 AND comment IS NOT NULL
UNION ALL
SELECT 'COLUMN', table_name || '."' || column_name || '"', comment FROM duckdb_columns()
WHERE schema_name = $1 AND comment IS NOT NULL
ORDER BY ALL
"""


def export_duckdb(
    warehouse: Warehouse,
    target: Path,
    sweep_ids: Sequence[str],
    overrides: Mapping[str, object] | None = None,
    *,
    replace: bool = False,
) -> None:
    """Write all views over these sweeps as tables into a new file.

    It is there whole or not at all. Raises UsageError where something of that name is
    there and not to be replaced, WarehouseError where it cannot be written.
    """
    if os.path.lexists(target) and not (replace and _is_database(target)):
        raise _is_there(target)
    if not target.absolute().parent.is_dir():
        raise _unwritable(target, "there is no such folder")
    hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with warehouse.session_over(sweep_ids, overrides) as session:
            session.comment()
            session.look(lambda connection: _write(connection, hidden))
        _add_human(hidden)
        _publish(hidden, target, replace)
    except (OSError, duckdb.IOException) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise _unwritable(target, reason) from error
    finally:
        for left in (hidden, hidden.with_name(f"{hidden.name}.wal")):
            left.unlink(missing_ok=True)


def _write(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """The same as `_copy`, for views that are computed. Raises OSError."""
    try:
        _copy(connection, file)
    except duckdb.IOException as error:
        raise full_disk(error) or OSError(errno.EIO, first_line(error)) from error


def _copy(connection: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Write the views of a connection into a new file, with their comments."""
    run = connection.execute
    run(f"ATTACH {literal(str(file))} AS file (STORAGE_VERSION '{_STORAGE_VERSION}')")
    run("BEGIN")
    run(f"CREATE SCHEMA file.{VIEW_VERSION}")
    for view in view_files():
        name = f"{VIEW_VERSION}.{view}"
        run(f"CREATE TABLE file.{name} AS FROM memory.{name}")
    for kind, name, comment in run(_COMMENTS, [VIEW_VERSION]).fetchall():
        run(f"COMMENT ON {kind} file.{VIEW_VERSION}.{name} IS {literal(comment)}")
    run("COMMIT")
    run("DETACH file")


def _add_human(file: Path) -> None:
    """Create the views in people's units over the tables of a file."""
    with duckdb.connect(file) as connection:
        connection.execute(f"CREATE SCHEMA {HUMAN_SCHEMA}")
        # One transaction: each on its own would be written through to the disk.
        connection.execute("BEGIN")
        for view in view_files():
            connection.execute(human_view(connection, view))
        for comment in human_comments(connection, view_files()):
            connection.execute(comment)
        connection.execute("COMMIT")


def _publish(hidden: Path, target: Path, replace: bool) -> None:
    """Give a file its name; without `replace`, only where nothing has it yet."""
    if replace:
        os.replace(hidden, target)
        return
    try:
        os.link(hidden, target)
    except FileExistsError:
        raise _is_there(target) from None
    except OSError:
        # No links on this file system: the look at the start has to do.
        os.rename(hidden, target)


def _unwritable(target: Path, reason: str) -> WarehouseError:
    return WarehouseError(
        f"cannot write {target} ({reason})", "name a file in another folder"
    )


def _is_there(target: Path) -> UsageError:
    return UsageError(
        f"{target} is there already",
        "name another file, or replace an earlier one with --force",
    )


def _is_database(path: Path) -> bool:
    """Whether a plain file is one of DuckDB: nothing else is ever replaced."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"
