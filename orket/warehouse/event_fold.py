"""Takes parts of events into the index, and their rows into the file that is kept."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb
import msgspec

from orket.records import DATASETS, GOVERNANCE
from orket.warehouse import disk
from orket.warehouse.connection import Connection, literal
from orket.warehouse.damage import Damage, damage_of, unreadable
from orket.warehouse.derived import Stat, write_kept
from orket.warehouse.event_parts import MOST_LOOSE, Act, Index
from orket.warehouse.raw import bind_dataset, unbind_dataset
from orket.warehouse.schema import duckdb_columns

_ROW = ", ".join(f"'{name}': \"{name}\"" for name in duckdb_columns(DATASETS["events"]))
_READ = (
    f"SELECT event LIKE '{GOVERNANCE}%', epoch_us(recorded_at), sweep_id, "
    f"left(md5(CAST({{{_ROW}}} AS VARCHAR)), 20) FROM raw.events"
)


def take_in(
    folder: Path, parts: Sequence[Path], known: Index, stats: dict[str, Stat]
) -> tuple[Index | None, list[Damage]]:
    """The index with all parts that can be read, kept for the next time, and the rest.

    None where it cannot be made. `folder` is where it is kept, `known` what was kept,
    `stats` the parts by name.
    """
    found = _take_in(folder, parts, known, stats)
    if found is not None:
        return found, []
    seen = {part.name for part in known.parts}
    unread = [
        damage_of("events", part, reason)
        for part in parts
        if part.name not in seen and (reason := unreadable("events", part)) is not None
    ]
    lost = {damage.part for damage in unread}
    rest = [part for part in parts if part not in lost]
    if not unread:
        return None, []
    if known.is_complete(folder, len(rest)):
        return known, unread
    return _take_in(folder, rest, known, stats), unread


def _take_in(
    folder: Path, parts: Sequence[Path], known: Index, stats: dict[str, Stat]
) -> Index | None:
    """The same of parts that can all be read; None where one cannot."""
    seen = {part.name for part in known.parts}
    fresh = [part for part in parts if part.name not in seen]
    is_lost = bool(known.file) and not (folder / known.file).exists()
    connection = Connection(threads=1)
    try:
        connection.duckdb.execute("CREATE SCHEMA raw")
        found = _with_bearings(connection.duckdb, known, fresh, stats)
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
        return msgspec.structs.replace(known, file="", folded=0)
    return msgspec.structs.replace(known, file=name, folded=len(known.parts))


def _with_bearings(
    connection: duckdb.DuckDBPyConnection,
    known: Index,
    fresh: Sequence[Path],
    stats: dict[str, Stat],
) -> Index:
    """The index with what these parts bear on. Raises duckdb.Error as they are read."""
    if not fresh:
        return known
    bind_dataset(connection, "events", fresh, with_part=True)
    acts = set(msgspec.msgpack.decode(known.acts, type=tuple[Act, ...]))
    ends: dict[str, set[str]] = defaultdict(set)
    for sweep_id, rows in known.ends.items():
        ends[sweep_id].update(rows)
    for is_act, moment, sweep_id, row in connection.execute(_READ).fetchall():
        if is_act:
            acts.add((moment, row))
        elif sweep_id is not None:
            ends[sweep_id].add(row)
    unbind_dataset(connection, "events")
    in_order = sorted(acts)
    return msgspec.structs.replace(
        known,
        parts=(*known.parts, *(stats[part.name] for part in fresh)),
        governed=tuple(_governed(in_order)),
        ends={sweep_id: tuple(sorted(rows)) for sweep_id, rows in sorted(ends.items())},
        acts=msgspec.Raw(msgspec.msgpack.encode(in_order)),
    )


def _governed(in_order: Iterable[Act]) -> Iterator[tuple[int, str]]:
    """Each moment of governance, and a hash of all acts up to it."""
    digest = hashlib.sha256()
    for moment, acts in groupby(in_order, key=itemgetter(0)):
        for _, row in acts:
            digest.update(row.encode())
        yield moment, digest.hexdigest()
