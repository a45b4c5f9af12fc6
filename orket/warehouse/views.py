"""DuckDB with the views of version 1, computed in order over some parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from orket.records import DATASETS
from orket.warehouse.connection import Connection
from orket.warehouse.damage import Parts
from orket.warehouse.event_index import Events
from orket.warehouse.evidence_tables import (
    FILLERS,
    FILLERS_READ,
    clear_table,
    create_tables,
)
from orket.warehouse.human_units import human_view
from orket.warehouse.raw import (
    EACH_BUCKET,
    bind_dataset,
    bind_pair,
    bind_policy,
    bind_policy_groups,
    bind_task_scope,
    bind_what_if,
    repeat_dataset,
    unbind_dataset,
)
from orket.warehouse.view_files import (
    HUMAN_SCHEMA,
    ROWS,
    VIEW_VERSION,
    as_table,
    datasets_under,
    macro_file,
    split_comments,
    view_files,
    views_under,
)

_SMALL = 4 << 20
"""Bytes of parts that one thread goes through while the views are bound, and of which
planning costs more than computing."""

_PARSED: dict[str, duckdb.Statement] = {}
"""View -> the statement that computes it, as far as any session has done so."""


class Views:
    """The views over these parts. Whatever fails is an error of DuckDB's own."""

    def __init__(
        self,
        parts: Parts,
        overrides: Mapping[str, object],
        threads: int | None,
        attempts: Sequence[str] | None = None,
        *,
        is_lazy: bool = False,
        events: Events | None = None,
    ) -> None:
        """`attempts` limits the runs to these; None is all of them.

        `threads` None is one for few rows, and as many as there may be for more: what
        one more thread costs is more than small sweeps take. No result hangs on it.

        A lazy one binds a dataset when a view that reads it is computed, or on `bind`:
        its parts are not so much as opened before. `events` are those of the parts,
        as far as their rows are kept together.
        """
        self._parts = parts
        self._bound: set[str] = set()
        self._events = events
        self._overrides = dict(overrides)
        self._staged: set[str] = set()
        self._shown: set[str] = set()
        self._human: set[str] = set()
        self._opened = Connection(threads or 1)
        self._bytes = 0
        self._may_use_more = threads is None
        self.connection = self._opened.duckdb
        try:
            self._prepare()
            self.bind(() if is_lazy else DATASETS)
            if attempts is not None:
                self._keep_only(attempts)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._opened.close()

    def stage(self, names: Iterable[str]) -> None:
        """Create these views, over kept rows of all they stand on.

        Views nested to the ground would be bound and computed again for every
        reference, which grows exponentially with their depth.
        """
        files = view_files()
        asked = set(names) & set(files)
        needed = set(asked)
        for name in reversed(files):
            if name in needed and name not in self._staged:
                needed |= views_under(files[name])
        lacking = [name for name in files if name in needed - self._staged]
        if lacking and self._bytes <= _SMALL:
            self._opened.plan_for_few_rows()
        for name in lacking:
            self._stage_one(name, files[name])
            self._staged.add(name)
        for name in sorted(asked - self._shown):
            _, shown = as_table(name)
            self.connection.execute(shown)
            self._shown.add(name)
        # What somebody asks may be joined in any order: that is planned with care.
        if lacking:
            self._opened.plan_for_many_rows()

    def show_human(self, names: Iterable[str]) -> None:
        """Compute these views and create them in people's units beside."""
        wanted = set(names) - self._human
        self.stage(wanted)
        for name in sorted(wanted):
            self.connection.execute(human_view(self.connection, name))
        self._human |= wanted

    def unstage(self, names: Iterable[str]) -> None:
        """Drop these views: they are computed from the rows there are when next staged.

        All that stands on one of them has to be among them.
        """
        run = self.connection.execute
        for name in self._shown & set(names):
            run(f"DROP VIEW {VIEW_VERSION}.{name}")
            self._shown.remove(name)
        for name in self._staged & set(names):
            run(f"DROP TABLE {ROWS}.{name}")
            self._staged.remove(name)
            if name in FILLERS:
                clear_table(self.connection, name)
        run("DELETE FROM raw.recommendation_if_polluted")

    def bind(self, datasets: Iterable[str]) -> None:
        """Make the raw rows of these datasets readable."""
        for dataset in set(datasets) - self._bound:
            kept = None
            if dataset == "events" and self._events is not None:
                kept = self._events.folded(self._opened.spill)
            parts = self._parts[dataset]
            # Each view that reads a manifest would open the parts of all sweeps again.
            once = dataset == "sweeps"
            bind_dataset(self.connection, dataset, parts, kept=kept, once=once)
            if EACH_BUCKET in self._overrides:
                repeat_dataset(self.connection, dataset)
            self._bound.add(dataset)
            self.weigh(parts)
            if self._may_use_more and dataset != "events" and _size(parts) > _SMALL:
                self._may_use_more = False
                self._opened.use_threads()

    def weigh(self, parts: Sequence[Path]) -> None:
        """Count these parts as bound: views over many rows are planned with more care.

        No result hangs on it.
        """
        self._bytes += _size(parts)
        if self._bytes > _SMALL:
            self._opened.plan_for_many_rows()

    def forget(self, dataset: str) -> None:
        """Take the raw rows of a dataset away; views that are computed keep theirs."""
        if dataset in self._bound:
            unbind_dataset(self.connection, dataset)
            self._bound.remove(dataset)

    def give(
        self, name: str, columns: Mapping[str, tuple[str, Sequence[object]]]
    ) -> None:
        """Take rows of a view from elsewhere: per column its type and its values."""
        marks = ", ".join(
            f"unnest(CAST(? AS {kind}[])) AS {column}"
            for column, (kind, _) in columns.items()
        )
        run = self.connection.execute
        run(
            f"CREATE TABLE {ROWS}.{name} AS SELECT {marks}",
            [list(values) for _, values in columns.values()],
        )
        self._staged.add(name)

    def _prepare(self) -> None:
        run = self.connection.execute
        run("CREATE SCHEMA raw")
        run(f"CREATE SCHEMA {VIEW_VERSION}")
        run(f"CREATE SCHEMA {HUMAN_SCHEMA}")
        run(f"CREATE SCHEMA {ROWS}")
        bind_policy(self.connection, self._overrides)
        bind_policy_groups(self.connection)
        bind_task_scope(self.connection, self._overrides)
        bind_pair(self.connection, self._overrides)
        bind_what_if(self.connection, self._overrides)
        create_tables(self.connection)
        run(macro_file().read_text(encoding="utf-8"))

    def _keep_only(self, attempts: Sequence[str]) -> None:
        run = self.connection.execute
        self.bind(["runs"])
        run(
            f"CREATE TABLE {ROWS}.some_runs AS "
            "SELECT * FROM raw.runs WHERE list_contains(?, attempt_id)",
            [list(attempts)],
        )
        run(f"CREATE OR REPLACE VIEW raw.runs AS SELECT * FROM {ROWS}.some_runs")

    def _stage_one(self, name: str, path: Path) -> None:
        run = self.connection.execute
        code, _ = split_comments(path)
        if "raw.recommendation_if_polluted" in code:
            self._ask_if_polluted()
        self.bind(datasets_under(path) | FILLERS_READ.get(name, frozenset()))
        if name in FILLERS:
            FILLERS[name](self.connection)
        run(_made(self.connection, name))

    def _ask_if_polluted(self) -> None:
        """Where pollution alone keeps a quant out, judge once more with it included."""
        asked = self.connection.execute(
            f"SELECT 1 FROM {ROWS}.recommendation "
            "WHERE quants_out_by_pollution > 0 LIMIT 1"
        ).fetchone()
        if not asked:
            return
        what_if = {**self._overrides, "include_polluted": "fill"}
        with Views(
            self._parts, what_if, None, is_lazy=True, events=self._events
        ) as other:
            other.stage(["recommendation"])
            answers = other.connection.execute(
                "SELECT sweep_id, model_id, minimum_viable_quant, best_value_quant "
                f"FROM {VIEW_VERSION}.recommendation"
            ).fetchall()
        for answer in answers:
            self.connection.execute(
                "INSERT INTO raw.recommendation_if_polluted VALUES (?, ?, ?, ?)",
                list(answer),
            )


def _made(connection: duckdb.DuckDBPyConnection, name: str) -> duckdb.Statement:
    """The statement that computes a view, parsed once for all sessions."""
    if name not in _PARSED:
        made, _ = as_table(name)
        (_PARSED[name],) = connection.extract_statements(made)
    return _PARSED[name]


def _size(parts: Sequence[Path]) -> int:
    """The bytes of parts, as far as they are there."""
    total = 0
    for part in parts:
        with suppress(OSError):
            total += part.stat().st_size
    return total
