"""How a field of the summary is read from the view: its source column and scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orket.text import whole_number

NANO = 10**9
MICRO = 10**6
MILLI = 10**3
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Scaled:
    """A plain decimal: the integer column `source` / `divisor`, to `digits` digits."""

    source: str
    divisor: int
    digits: int = 6

    def read(self, value: Any) -> Any:
        """The decimal of an integer, or the list of decimals of a list of integers."""
        if isinstance(value, (list, tuple)):
            return [self.read(item) for item in value]
        return None if value is None else scale(value, self.divisor, self.digits)


@dataclass(frozen=True, slots=True)
class Source:
    """The column `source`, as it is."""

    source: str

    def read(self, value: Any) -> Any:
        """The value."""
        return value


@dataclass(frozen=True, slots=True)
class NumberOrWord:
    """The text column `source`: a number where it is one, else its word."""

    source: str

    def read(self, value: Any) -> Any:
        """`"4"` is 4, `"server"` stays a word."""
        number = whole_number(value) if isinstance(value, str) else None
        return value if number is None else number


def scale(value: int, divisor: int, digits: int) -> Decimal:
    """`value / divisor` rounded half up (away from zero) to `digits` decimals.

    In integers to the end: a float on the way would round twice.
    """
    unit: int = 10**digits
    magnitude = (2 * abs(int(value)) * unit + divisor) // (2 * divisor)
    sign = 1 if value < 0 else 0
    return Decimal((sign, tuple(map(int, str(magnitude))), -digits))


def as_mapping(value: Any) -> dict[str, Any]:
    """A MAP, or a list of structs of key and value, as a dict sorted by bytes."""
    if value is None:
        return {}
    pairs = (
        value.items()
        if isinstance(value, Mapping)
        else (tuple(item.values()) for item in value)
    )
    return dict(sorted(pairs, key=lambda pair: str(pair[0]).encode()))
