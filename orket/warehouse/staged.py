"""Rows on their way into a warehouse: hidden files that become parts all at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orket.warehouse import disk
from orket.warehouse.damage import full_disk
from orket.warehouse.parts import (
    make_folder,
    partition_name,
    refuse_other_names,
    time_ordered_id,
    write_failure,
)
from orket.warehouse.schema import arrow_schema
from orket.warehouse.seal import BLANK, KEY, seal
from orket.warehouse.store import Warehouse

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

COPY_PREFIX, LOCK_SUFFIX = ".copy-", ".lock"
"""Of a hidden folder of rows; the lock beside it lives as long as their writer."""
_HELD_BYTES = 64 << 20
"""Rows that wait for more of their sweep, so that they are written together."""
_OPEN_FILES = 100


class StagedRows:
    """Rows in hidden files of a warehouse, not yet to be seen by any reader.

    The rows of each sweep go to files of their own, in whatever order they come; those
    of events, which no folder divides, to one.
    """

    def __init__(self, warehouse: Warehouse, dataset: str) -> None:
        """Make the hidden folder. Raises OSError."""
        self._warehouse = warehouse
        self._dataset = dataset
        self.rows = 0
        """How many were taken."""
        home = warehouse.folder("events") if dataset == "events" else warehouse.path
        self._home = home
        disk.make_folder(home)
        self._lock_path = home / f"{COPY_PREFIX}{time_ordered_id()}{LOCK_SUFFIX}"
        self._lock = disk.create(self._lock_path)
        prefix = f"{self._lock_path.stem}-"
        self._folder = tempfile.TemporaryDirectory(prefix=prefix, dir=home)
        self.place = Path(self._folder.name)
        """Where the files lie."""
        self._schema = arrow_schema(dataset)
        self._waiting: dict[str | None, list[pa.Table]] = {}
        self._held_bytes = 0
        self._open: dict[str | None, pq.ParquetWriter] = {}
        self._files: list[tuple[Path, str | None]] = []

    def add(self, table: pa.Table) -> None:
        """Take rows, of any sweeps. Raises OSError when they cannot be written."""
        self.rows += table.num_rows
        for sweep_id, own in self._divide(table):
            self._waiting.setdefault(sweep_id, []).append(own)
            self._held_bytes += own.nbytes
        if self._held_bytes > _HELD_BYTES:
            self._write_down_to(_HELD_BYTES // 2)

    def publish(self) -> list[Path]:
        """Make each file durable and give it its place as a part.

        Raises WarehouseError when the place cannot be written.
        """
        try:
            self._write_down_to(0)
            while self._open:
                self._close_oldest()
            # Nothing of it where the rows of two have gone to one folder.
            refuse_other_names(sorted({file.parent for file, _ in self._files}))
            return [
                _publish(file, self._warehouse.folder(self._dataset, sweep_id))
                for file, sweep_id in sorted(self._files)
            ]
        except OSError as error:
            raise write_failure(self._home, full_disk(error) or error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget the rows."""
        for writer in self._open.values():
            # What is thrown away need not be whole.
            with suppress(OSError):
                writer.close()
        self._open.clear()
        self._folder.cleanup()
        self._lock.close()
        self._lock_path.unlink(missing_ok=True)

    def _divide(self, table: pa.Table) -> Iterator[tuple[str | None, pa.Table]]:
        """The rows of each sweep; they mostly stand together already."""
        import pyarrow.compute as pc

        if self._dataset == "events":
            yield None, table
            return
        ids = table["sweep_id"].combine_chunks()
        stretches = pc.run_end_encode(ids)
        if len(stretches.values) > pc.count_distinct(ids).as_py():
            table = table.take(pc.sort_indices(ids))
            ids = table["sweep_id"].combine_chunks()
            stretches = pc.run_end_encode(ids)
        start = 0
        ends = stretches.run_ends.to_pylist()
        for sweep_id, end in zip(stretches.values.to_pylist(), ends, strict=True):
            yield sweep_id, table.slice(start, end - start)
            start = end

    def _write_down_to(self, held_bytes: int) -> None:
        """Write what waits, the largest first, until so much of it is left."""
        import pyarrow as pa

        waiting = [
            (sum(own.nbytes for own in tables), sweep_id)
            for sweep_id, tables in self._waiting.items()
        ]
        for size, sweep_id in sorted(waiting, key=lambda pair: pair[0], reverse=True):
            if self._held_bytes <= held_bytes:
                return
            rows = pa.concat_tables(self._waiting.pop(sweep_id)).cast(self._schema)
            self._held_bytes -= size
            self._writer(sweep_id).write_table(rows)

    def _writer(self, sweep_id: str | None) -> pq.ParquetWriter:
        """The open file of a sweep; another one where too many were open."""
        import pyarrow.parquet as pq

        writer = self._open.pop(sweep_id, None)
        if writer is None:
            while len(self._open) >= _OPEN_FILES:
                self._close_oldest()
            folder = self.place / (
                "rows" if sweep_id is None else partition_name(sweep_id)
            )
            folder.mkdir(exist_ok=True)
            file = folder / f"{len(self._files):06}.parquet"
            disk.step("write", file)
            writer = pq.ParquetWriter(file, self._schema, compression="zstd")
            self._files.append((file, sweep_id))
        self._open[sweep_id] = writer
        return writer

    def _close_oldest(self) -> None:
        """Finish the file that was not written to for longest."""
        writer = self._open.pop(next(iter(self._open)))
        with writer:
            writer.add_key_value_metadata({KEY: BLANK})


def _publish(file: Path, folder: Path) -> Path:
    make_folder(folder)
    final = folder / f"part-{time_ordered_id()}.parquet"
    with file.open("rb+") as written:
        seal(written)
        disk.sync(written.fileno(), file)
    disk.rename(file, final)
    disk.sync_folder(folder)
    return final
