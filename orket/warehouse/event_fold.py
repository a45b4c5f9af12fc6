"""Takes parts of events into the index, and their rows into the file that is kept."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import msgspec

from orket.records import DATASETS
from orket.warehouse import disk
from orket.warehouse.connection import Connection, literal
from orket.warehouse.derived import Stat, write_kept
from orket.warehouse.event_parts import MOST_LOOSE, Index, IndexedPart
from orket.warehouse.raw import bind_dataset, unbind_dataset
from orket.warehouse.schema import duckdb_columns

_ROW = ", ".join(f"'{name}': \"{name}\"" for name in duckdb_columns(DATASETS["events"]))
_READ = (
    "SELECT part, event LIKE 'BASELINE%', epoch_us(recorded_at), sweep_id, "
    f"left(md5(CAST({{{_ROW}}} AS VARCHAR)), 20) FROM raw.events"
)


def take_in(
    folder: Path, parts: Sequence[Path], known: Index, stats: dict[str, Stat]
) -> Index | None:
    """The index with all parts, kept for the next time; None where one is unreadable.

    `folder` is where it is kept, `known` what was kept, `stats` the parts by name.
    """
    seen = {part.stat.name for part in known.parts}
    fresh = [part for part in parts if part.name not in seen]
    is_lost = bool(known.file) and not (folder / known.file).exists()
    connection = Connection(threads=1)
    try:
        connection.duckdb.execute("CREATE SCHEMA raw")
        indexed = known.parts + _bearings(connection.duckdb, fresh, stats)
        found = Index(known.code, indexed, known.file, known.folded)
        if is_lost or len(parts) - known.folded > MOST_LOOSE:
            found = _fold(folder, parts, connection, found)
    except (OSError, duckdb.Error):
        return None
    finally:
        connection.close()
    is_kept = write_kept(folder / "events.index", msgspec.msgpack.encode(found))
    if is_kept and known.file not in ("", found.file):
        with suppress(OSError):
            disk.remove(folder / known.file)
    return found


def _fold(
    folder: Path, parts: Sequence[Path], connection: Connection, known: Index
) -> Index:
    """Write the rows of all parts into one file."""
    kept = known.copy_rows(folder, connection.spill)
    place = connection.spill / "fold.parquet"
    bind_dataset(connection.duckdb, "events", parts, with_part=True, kept=kept)
    connection.duckdb.execute(
        "COPY (SELECT * REPLACE (parse_filename(part) AS part) FROM raw.events) "
        f"TO {literal(str(place))} (FORMAT parquet, COMPRESSION zstd)"
    )
    content = place.read_bytes()
    name = f"events-{hashlib.sha256(content).hexdigest()[:16]}"
    if not write_kept(folder / name, content):
        return Index(known.code, known.parts, "", 0)
    return Index(known.code, known.parts, name, len(known.parts))


def _bearings(
    connection: duckdb.DuckDBPyConnection,
    fresh: Sequence[Path],
    stats: dict[str, Stat],
) -> tuple[IndexedPart, ...]:
    """What these parts bear on. Raises duckdb.Error where one cannot be read."""
    if not fresh:
        return ()
    bind_dataset(connection, "events", fresh, with_part=True)
    acts: dict[str, set[tuple[int, str]]] = defaultdict(set)
    ends: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path, is_act, moment, sweep_id, row in connection.execute(_READ).fetchall():
        name = Path(path).name
        if is_act:
            acts[name].add((moment, row))
        elif sweep_id is not None:
            ends[name].add((sweep_id, row))
    unbind_dataset(connection, "events")
    return tuple(
        IndexedPart(
            stats[part.name],
            tuple(sorted(acts[part.name])),
            tuple(sorted(ends[part.name])),
        )
        for part in fresh
    )
