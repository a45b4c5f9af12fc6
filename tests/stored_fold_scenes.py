"""Compaction in an object store, killed before any of its changes.

`python -m tests.stored_fold_scenes FOLDER URL 3 9` stores a small sweep at URL/3 and
URL/9, from a machine (FOLDER/3/first) of its own, and folds it in a child that kills
itself before the third, or ninth, change of the store.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from orket.records import EventRow
from orket.warehouse import Warehouse
from orket.warehouse.compact import compact
from orket.warehouse.object_store import ObjectStore
from tests.built_sweep import START, Sweep

NAME = "s"
RUNS = 4


def enter(folder: Path) -> None:
    """Go on as the machine whose state lies in a folder."""
    os.environ["XDG_STATE_HOME"] = str(folder)


def store_sweep(url: str) -> Warehouse:
    """A sweep with a part for each run and each event."""
    sweep = Sweep(sweep_id=NAME, quants=("F16",), repetitions=2).fill().finish()
    store = Warehouse.open(url)
    store.append("sweeps", [sweep.sweep_row()], NAME)
    for run in sweep.runs:
        store.append("runs", [run], NAME)
    store.append("events", sweep.events)
    store.append("events", [note_of(START)])
    store.publish()
    return store


def note_of(moment: datetime) -> EventRow:
    """An event that says nothing about what is recommended."""
    return EventRow(
        event_id=f"yielded-{moment:%d}",
        recorded_at=moment,
        event="POLICY_YIELDED",
        sweep_id="another",
    )


@contextmanager
def before_each_change(act: Callable[[], None]) -> Iterator[None]:
    """Let `act` happen before each change of a store by this process."""
    create, remove = ObjectStore.create, ObjectStore.remove

    def watched_create(self: ObjectStore, name: str, content: bytes) -> bool:
        act()
        return create(self, name, content)

    def watched_remove(self: ObjectStore, names: Collection[str]) -> None:
        for name in names:
            act()
            remove(self, [name])

    ObjectStore.create, ObjectStore.remove = watched_create, watched_remove  # type: ignore[method-assign]
    try:
        yield
    finally:
        ObjectStore.create, ObjectStore.remove = create, remove  # type: ignore[method-assign]


def prepare(folder: Path, url: str) -> Warehouse:
    """A sweep at a URL, from the machine `first`, which is entered; `second` has it.

    `folder` is where the state of machines lies.
    """
    enter(folder / "first")
    store_sweep(url)
    enter(folder / "second")
    Warehouse.open(url).fetch()
    enter(folder / "first")
    return Warehouse.open(url)


def _kill_at(number: int) -> Callable[[], None]:
    left = [number]

    def act() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def main(folder: Path, url: str, numbers: list[int]) -> None:
    """Raises SystemExit where a child came to an end of its own."""
    import s3fs  # noqa: F401, once for all children

    for number in numbers:
        child = os.fork()
        if child == 0:
            warehouse = prepare(folder / str(number), f"{url}/{number}")
            with before_each_change(_kill_at(number)):
                compact(warehouse, pause=0)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"change {number} was not made")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], list(map(int, sys.argv[3:])))
