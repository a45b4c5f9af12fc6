"""Takes parts of events into the index, and their rows into the file that is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec

from orket.warehouse.connection import Connection, literal
from orket.warehouse.derived import Stat, write_kept
from orket.warehouse.event_parts import MOST_LOOSE, Index, IndexedPart
from orket.warehouse.raw import bind_dataset, unbind_dataset

_READ = (
    "SELECT part, epoch_us(min(recorded_at) FILTER (WHERE event LIKE 'BASELINE%')), "
    "coalesce(list(DISTINCT sweep_id ORDER BY sweep_id) FILTER "
    "(WHERE event NOT LIKE 'BASELINE%' AND sweep_id IS NOT NULL), []) "
    "FROM raw.events GROUP BY part"
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
        (folder / known.file).unlink(missing_ok=True)
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
    found = {
        Path(part).name: (earliest, tuple(sweeps))
        for part, earliest, sweeps in connection.execute(_READ).fetchall()
    }
    unbind_dataset(connection, "events")
    return tuple(
        IndexedPart(stats[part.name], *found.get(part.name, (None, ())))
        for part in fresh
    )
