"""Every way to write into a warehouse, to be killed, refused or cut off at each step.

A scene prepares a warehouse and then writes into it; what it was told to be safe it
confirms at once. `python -m tests.fault_scenes SCENE FOLDER` prepares FOLDER/start, and
runs the scene in copies of it, in a child that kills itself at step 1, 2, 3 and so on.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orket.admission import IDENTITIES
from orket.exports.bundle import write_bundle
from orket.ingest.importer import ingest_file
from orket.records import DATASETS, to_json
from orket.warehouse import Warehouse, disk, journal
from orket.warehouse.compact import compact
from orket.warehouse.derived import derived_folder, write_kept
from orket.warehouse.disk import Step
from orket.warehouse.faults import Fault
from orket.warehouse.journal import JOURNALED, left_journals, parse_journal
from orket.warehouse.kept import read_sweeps
from orket.warehouse.parts import list_partitions
from orket.warehouse.quarantine import move_to_quarantine
from tests.built_sweep import Sweep

Confirm = Callable[[Iterable[str]], None]
NAME = "a"


def sweep(name: str = NAME) -> Sweep:
    """A small sweep; its rows are known by their identities."""
    return Sweep(sweep_id=name, quants=("F16",), repetitions=2).fill().finish()


def _store(folder: Path) -> Warehouse:
    return sweep().store(folder)


def _new_runs() -> list[Any]:
    """Runs that no prepared warehouse has: those of a third repetition."""
    more = Sweep(sweep_id=NAME, quants=("F16",), repetitions=3).fill().runs
    known = {run.attempt_id for run in sweep().runs}
    return [run for run in more if run.attempt_id not in known]


def _append_journal(warehouse: Warehouse, confirm: Confirm) -> None:
    journal.SYNC_AFTER_SECONDS = 0
    with warehouse.journal(NAME) as opened:
        for run in _new_runs():
            opened.append(run)
            confirm([run.attempt_id])


def _leave_journal(folder: Path) -> Warehouse:
    warehouse = _store(folder)
    with warehouse.journal(NAME) as opened:
        for run in _new_runs():
            opened.append(run)
    return warehouse


def _fold_journal(warehouse: Warehouse, confirm: Confirm) -> None:
    warehouse.journal(NAME).fold()


def _new_prompts() -> list[Any]:
    """Prompts along which two quants were followed; of none there is a row yet."""
    made, places = sweep(), [{1: 0.5, 2: 0.25}]
    return [made.score(quant, "t1", places) for quant in ("F16", "Q8_0")]


def _follow(warehouse: Warehouse, confirm: Confirm) -> None:
    journal.SYNC_AFTER_SECONDS = 0
    with warehouse.journal(NAME, "fidelity") as opened:
        for row in _new_prompts():
            opened.append(row)
            confirm([row.fidelity_id])
        opened.fold()


def _append_event(warehouse: Warehouse, confirm: Confirm) -> None:
    events = sweep("other").events
    warehouse.append("events", events)
    confirm(event.event_id for event in events)


def _ingest(warehouse: Warehouse, confirm: Confirm) -> None:
    rows = _new_runs()
    source = warehouse.path.parent / f"{warehouse.path.name}.jsonl"
    source.write_bytes(b"".join(to_json(row) + b"\n" for row in rows))
    ingest_file(warehouse, source)
    confirm(row.attempt_id for row in rows)


def _keep(warehouse: Warehouse, confirm: Confirm) -> None:
    write_kept(derived_folder(warehouse.path) / "starts", b"anything")


def _damaged(folder: Path) -> Warehouse:
    warehouse = _leave_journal(folder)
    warehouse.append("sidecars", [], NAME).write_bytes(b"PAR1 half a file")
    (path,) = left_journals(warehouse.folder("runs", NAME))
    path.write_bytes(b'{"torn": \n' + path.read_bytes())
    return warehouse


def _quarantine(warehouse: Warehouse, confirm: Confirm) -> None:
    for path in (
        *warehouse.parts("sidecars", NAME),
        *left_journals(warehouse.folder("runs", NAME)),
    ):
        dataset = path.relative_to(warehouse.path).parts[0]
        fault = Fault(
            dataset=dataset, sweep_id=NAME, path=path, what="torn", remedy="none"
        )
        move_to_quarantine(warehouse.path, fault)


def _looked_at(folder: Path) -> Warehouse:
    warehouse = _store(folder)
    list(read_sweeps(warehouse, [NAME]))
    return warehouse


def _bundle(warehouse: Warehouse, confirm: Confirm) -> None:
    write_bundle(warehouse, NAME, warehouse.path / "bundle.tar")


def _many_parts(folder: Path) -> Warehouse:
    warehouse = Warehouse(folder)
    made = sweep()
    warehouse.append("sweeps", [made.sweep_row()], NAME)
    for run in made.runs[:3]:
        warehouse.append("runs", [run], NAME)
    return warehouse


def _compact(warehouse: Warehouse, confirm: Confirm) -> None:
    compact(warehouse, pause=0)


@dataclass(frozen=True)
class Scene:
    """What is there, what is then done, and what it may add."""

    prepare: Callable[[Path], Warehouse]
    act: Callable[[Warehouse, Confirm], None]
    adds: frozenset[str] = frozenset()
    """Identities that are there afterwards and may be there before."""


_NEW = frozenset(run.attempt_id for run in _new_runs())
_PROMPTS = frozenset(row.fidelity_id for row in _new_prompts())
SCENES = {
    "journal": Scene(_store, _append_journal, _NEW),
    "fold": Scene(_leave_journal, _fold_journal),
    "fidelity": Scene(_store, _follow, _PROMPTS),
    "event": Scene(_store, _append_event, frozenset({"other-end"})),
    "ingest": Scene(_store, _ingest, _NEW),
    "keep": Scene(_store, _keep),
    "quarantine": Scene(_damaged, _quarantine),
    "bundle": Scene(_looked_at, _bundle),
    "compact": Scene(_many_parts, _compact),
}


def read_rows(warehouse: Warehouse) -> Counter[str]:
    """How often each identity stands in parts and journals that can be read.

    Manifests are left out: those of imports follow from the other rows.
    """
    found: Counter[str] = Counter()
    for dataset in DATASETS:
        if dataset == "sweeps":
            continue
        for part in warehouse.parts(dataset):
            try:
                table = pq.ParquetFile(part).read([IDENTITIES[dataset]])
            except pa.ArrowException:
                continue
            found.update(table.column(0).to_pylist())
    for dataset in JOURNALED:
        for folder in list_partitions(warehouse.path / dataset):
            for path in left_journals(folder):
                rows = parse_journal(path, dataset).rows
                found.update(getattr(row, IDENTITIES[dataset]) for row in rows)
    return found


@dataclass
class PowerCut:
    """Follows what is durable: what was synced, under names whose folder was synced.

    The watcher of `orket.warehouse.disk`. `states` are the trees that a power cut at
    each step may leave, path -> bytes: once without any change of a folder that was
    not synced, once with all of them, once with the removals alone, for a system may
    write them in any order. What was not synced of a file is lost in each.
    `told` is what had been confirmed when the tree was last as it is.
    """

    root: Path
    durable: dict[Path, bytes] = field(default_factory=dict)
    pending: list[tuple[Path | None, Path | None]] = field(default_factory=list)
    """From and to: a rename, a new file (from None) or one that is removed."""
    contents: dict[int, bytes] = field(default_factory=dict)
    """By inode: what was synced of a file since the beginning."""
    inodes: dict[Path, int] = field(default_factory=dict)
    states: list[dict[Path, bytes]] = field(default_factory=list)
    told: list[set[str]] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for path in self.root.rglob("*"):
            if path.is_file():
                self.durable[path] = self.contents[path.stat().st_ino] = (
                    path.read_bytes()
                )

    def __call__(self, step: Step) -> None:
        """Before each step: what would be left if the power went now."""
        self._find_new()
        strict = dict(self.durable)
        lax, gone = dict(self.durable), dict(self.durable)
        for change in self.pending:
            _apply(lax, change, self._content)
            if change[1] is None:
                _apply(gone, change, self._content)
        for state in (strict, lax, gone):
            if state not in self.states:
                self.states.append(state)
                self.told.append(set())
            self.told[self.states.index(state)] |= self.confirmed
        if step.what == "sync":
            inode = step.path.stat().st_ino
            self.contents[inode] = step.path.read_bytes()
            if step.path in self.durable:
                self.durable[step.path] = self.contents[inode]
        elif step.what == "rename":
            assert step.target is not None
            self.inodes[step.target] = step.path.stat().st_ino
            self.pending.append((step.path, step.target))
        elif step.what == "remove" and step.path.exists():
            self.pending.append((step.path, None))
        elif step.what == "sync_folder":
            kept = []
            for change in self.pending:
                if step.path in {path.parent for path in change if path is not None}:
                    _apply(self.durable, change, self._content)
                else:
                    kept.append(change)
            self.pending = kept

    def _find_new(self) -> None:
        """Files that came without a step of their own: DuckDB made them."""
        known = set(self.durable) | {to for _, to in self.pending}
        for path in self.root.rglob("*"):
            if path not in known and path.is_file():
                self.inodes[path] = path.stat().st_ino
                self.pending.append((None, path))

    def _content(self, path: Path) -> bytes:
        return self.contents.get(self.inodes.get(path, 0), b"")


def _apply(
    tree: dict[Path, bytes],
    change: tuple[Path | None, Path | None],
    content: Callable[[Path], bytes],
) -> None:
    source, target = change
    old = tree.pop(source, None) if source is not None else None
    if target is not None:
        tree[target] = content(target) or old or b""


def lay_out(tree: dict[Path, bytes], root: Path, target: Path) -> Warehouse:
    """Write a tree of `root` down at `target`."""
    for path, content in tree.items():
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return Warehouse(target)


def _kill_at(number: int) -> Callable[[Step], None]:
    left = [number]

    def watch(step: Step) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


def _run_killed(scene: Scene, folder: Path, number: int) -> bool:
    """Run a scene in a copy, killed at a step; whether it came to its end before."""
    copy = folder / str(number)
    shutil.copytree(folder / "start", copy)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    told = os.open(folder / f"{number}.confirmed", os.O_CREAT | os.O_WRONLY)

    def confirm(names: Iterable[str]) -> None:
        for name in names:
            os.write(told, name.encode() + b"\n")

    try:
        disk.watcher = _kill_at(number)
        scene.act(Warehouse(copy), confirm)
        os._exit(0)
    except BaseException:
        os._exit(1)


def main(name: str, folder: Path) -> None:
    """Prepare in a process of its own: a fork copies no thread of DuckDB."""
    scene = SCENES[name]
    if not os.fork():
        scene.prepare(folder / "start")
        os._exit(0)
    os.wait()
    number = 1
    while not _run_killed(scene, folder, number):
        number += 1
    print(number)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
