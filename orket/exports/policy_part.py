"""The summary's groups of thresholds, from the declarations in `orket.policy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field, create_model

from orket.exports.part import Part
from orket.exports.scale import Scaled, Source
from orket.policy import FIRST_SUMMARY, Group, Threshold, shown_thresholds


class PolicyPart(Part):
    """A group of thresholds. Source: the policy, whose whole struct it is given."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """One threshold; the fields are made from the declarations."""


T = TypeVar("T", bound=PolicyPart)


def shows(group: Group) -> Callable[[type[T]], type[T]]:
    """Give a class the fields of a group, in the order of the declarations."""

    def fill(part: type[T]) -> type[T]:
        fields: dict[str, Any] = {
            entry.shown or entry.key: _field(entry) for entry in shown_thresholds(group)
        }
        return create_model(
            part.__name__,
            __base__=part,
            __doc__=part.__doc__,
            __module__=part.__module__,
            **fields,
        )

    return fill


def _field(entry: Threshold) -> tuple[Any, Any]:
    """Type, source and scale of one threshold, and its words."""
    unit = entry.unit
    words = f"{entry.meaning}, seconds." if unit.is_time else f"{entry.meaning}."
    described: Any = Field(description=words)
    kind: Any = int if unit.scale else bool if not entry.words else str
    source: Any = Source(entry.field)
    if unit.shown_divisor:
        kind = float
        source = Scaled(entry.field, unit.shown_divisor, unit.shown_digits)
    if entry.since != FIRST_SUMMARY:
        kind, described = kind | None, Field(default=None, description=words)
    return Annotated[kind, source], described
