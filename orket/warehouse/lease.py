"""One executor for a sweep of an object store, among the machines that reach it.

A store has no locks, but of two who create an object at once one is refused. So who
runs a sweep creates the next number of its leases, and another object beside it at the
end, once all parts are stored. A lease without an end is held, however long ago it was
taken: a machine that is merely cut off must not be taken for dead. The one that took it
may go on with it, for its lock in the folder that stands for the store (`Claim`) tells
whether a process of it lives; another needs to be told that it may.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType

from orket.errors import OrketError
from orket.warehouse import disk
from orket.warehouse.claim import name_holder
from orket.warehouse.mirror import LEASES, Mirror
from orket.warehouse.parts import (
    create_folder,
    partition_name,
    time_ordered_id,
    write_failure,
)

_MACHINE = ".machine"
_NAME = re.compile(r"(\d{6})\.(taken|ended)", re.ASCII)


class Lease:
    """The right to run one sweep, or to fold its parts, from `with` to its end."""

    def __init__(
        self,
        mirror: Mirror,
        sweep_id: str | None,
        *,
        take_over: bool,
        purpose: str = "run",
    ) -> None:
        """`sweep_id` None: the events. `take_over`: even where another machine did not
        end. `purpose` is what others are told that is being done."""
        self._mirror = mirror
        self._what = "the events" if sweep_id is None else f"sweep {sweep_id}"
        own = "events" if sweep_id is None else partition_name(sweep_id)
        self._prefix = f"{LEASES}/{own}"
        self._take_over = take_over
        self._purpose = purpose
        self._number = 0
        self.is_refused = False
        """Whether another has it."""

    def __enter__(self) -> Lease:
        """Take the lease. Raises OrketError naming who has it, and WarehouseError."""
        store = self._mirror.store
        told = set(map(_number, store.sizes(f"{self._prefix}/")))
        last = max((number for number, _ in told), default=0)
        # The end of one of this machine may still wait to be stored.
        is_over = (last, "ended") in told or last == 0 or self._is_own(last)
        if not (is_over or self._take_over):
            raise self._refuse(last)
        content = f"{self._machine()}\n{self._purpose} by {name_holder()}"
        if not store.create(self._object(last + 1, "taken"), content.encode()):
            raise self._refuse(last + 1)
        self._number = last + 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let the end of the lease be stored with, and after, what waits to be."""
        place = self._mirror.folder / self._object(self._number, "ended")
        try:
            disk.make_folder(place.parent)
            disk.write_file(place, b"")
        except OSError as failure:
            raise write_failure(place.parent, failure) from failure
        self._mirror.publish_soon()

    def _is_own(self, number: int) -> bool:
        return self._read(number)[0] == self._machine()

    def _read(self, number: int) -> tuple[str, str]:
        """The machine that took a lease, and what for people stands in it."""
        content = self._mirror.store.read(self._object(number, "taken"))
        machine, _, holder = content.decode("utf-8", "replace").partition("\n")
        return machine, " ".join(holder.split())

    def _object(self, number: int, what: str) -> str:
        return f"{self._prefix}/{number:06}.{what}"

    def _machine(self) -> str:
        """What tells this machine from others: made up once, for each store."""
        place: Path = self._mirror.folder / _MACHINE
        create_folder(self._mirror.folder)
        try:
            if not place.exists():
                disk.write_file(place, time_ordered_id().encode())
            return disk.read_plain(place).decode("utf-8", "replace")
        except OSError as error:
            raise write_failure(place, error) from error

    def _refuse(self, number: int) -> OrketError:
        self.is_refused = True
        holder = self._read(number)[1] or "run on another machine"
        verb = "are" if self._what == "the events" else "is"
        return OrketError(
            f"{self._what} {verb} being {holder}, as far as "
            f"{self._mirror.store.url} tells",
            "wait for its end, or stop it there; where that machine is gone for good, "
            "add --take-over",
        )


def _number(name: str) -> tuple[int, str]:
    """Number and kind of an object; 0 of a stranger's."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return (int(found[1]), found[2]) if found is not None else (0, "")
