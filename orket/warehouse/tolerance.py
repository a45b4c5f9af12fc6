"""What a command may go on without where a part cannot be read, and what it did.

A part that surely says nothing of what is asked stops nobody. What may bear on it is
left out only where the command can say so: then it ends with an error that names it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from orket.warehouse.parts import has_tag

if TYPE_CHECKING:
    from orket.warehouse.damage import Damage


class Tolerance(Enum):
    """What may be left out of what a command reads, and named at its end."""

    NONE = "none"
    """Nothing that may bear on it."""
    EVENTS = "events"
    """Events that may be of any sweep. A sweep is read whole, or not at all."""
    ALL = "all"
    """Any part, and sweeps that cannot be judged: what shows says what it lacks."""


class LeftOut:
    """What could not be read so far."""

    def __init__(
        self, tolerance: Tolerance, damages: list[tuple[Damage, bool]] | None = None
    ) -> None:
        """`damages` are those that are known, each with whether it bears on anything
        asked; found ones are added."""
        self.tolerance = tolerance
        self.damages = [] if damages is None else damages

    def admit(
        self, found: Sequence[Damage], sweeps: Collection[str] | None
    ) -> list[Damage]:
        """Those without which one may go on; they are remembered.

        `sweeps` are those that are asked for, None is all.
        """
        admitted = [damage for damage in found if self._is_admitted(damage, sweeps)]
        if len(admitted) == len(found):
            self.damages += [(damage, _may_bear(damage, sweeps)) for damage in admitted]
        return admitted

    def require(self, found: Sequence[Damage], sweeps: Collection[str] | None) -> None:
        """The same of what was met where nothing had to be read again.

        Raises WarehouseError for what one may not go on without.
        """
        admitted = self.admit(found, sweeps)
        if len(admitted) < len(found):
            from orket.warehouse.damage import explain

            raise explain([damage for damage in found if damage not in admitted])

    def bearing(self) -> list[Damage]:
        """What may bear on something that was asked, in the order it was met."""
        return _once(damage for damage, bears in self.damages if bears)

    def beside(self) -> list[Damage]:
        """What surely says nothing of anything that was asked."""
        known = {damage.part for damage in self.bearing()}
        return [
            damage
            for damage in _once(damage for damage, bears in self.damages if not bears)
            if damage.part not in known
        ]

    def sweeps(self) -> set[str]:
        """The sweeps of which rows of their own could not be read."""
        return {damage.sweep_id for damage, _ in self.damages if damage.sweep_id}

    def _is_admitted(self, damage: Damage, sweeps: Collection[str] | None) -> bool:
        if self.tolerance is Tolerance.ALL or not _may_bear(damage, sweeps):
            return True
        if damage.dataset != "events" or damage.part is None:
            return False
        if self.tolerance is not Tolerance.EVENTS:
            return False
        # Who asks for all asks for baselines: a tag says that none is lost.
        return sweeps is None or not has_tag(damage.part)


def _may_bear(damage: Damage, sweeps: Collection[str] | None) -> bool:
    return sweeps is None or any(map(damage.may_bear_on, sweeps))


def _once(damages: Iterable[Damage]) -> list[Damage]:
    return list({(damage.part, damage.what): damage for damage in damages}.values())
