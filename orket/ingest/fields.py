"""Reads the fields of a foreign JSON object strictly, naming the one at fault."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from orket.limits import MAX_READING
from orket.records import STRAY_SURROGATE, stray_surrogate

MISSING_WORDS = frozenset({"", "unknown", "unspecified"})
"""What earlier tools wrote where they knew nothing."""
SCORE_SCALE = 1_000_000
"""Checks that an imported score is stored as: a score of 0.85 is 850,000 of them.
One scale for all, so that sums over several scores stay their mean."""
MIB = 1024 * 1024


class BadField(Exception):
    """A field holds what it cannot hold."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fields:
    """One object of a document. A field that is absent or null reads as None."""

    values: Mapping[str, Any]
    path: str = ""

    def where(self, name: str) -> str:
        """The field's full name."""
        return f"{self.path}.{name}" if self.path else name

    def group(self, name: str) -> Fields:
        """An object inside; an absent one is empty."""
        value = self.values.get(name)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise BadField(
                self.where(name), f"an object is expected, not {_show(value)}"
            )
        return Fields(value, self.where(name))

    def groups(self, name: str) -> Iterator[Fields]:
        """The objects of a list inside; an absent one is empty."""
        for place, value in enumerate(self.items(name)):
            path = f"{self.where(name)}[{place}]"
            if not isinstance(value, dict):
                raise BadField(path, f"an object is expected, not {_show(value)}")
            yield Fields(value, path)

    def items(self, name: str) -> list[Any]:
        """A list inside; an absent one is empty."""
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadField(self.where(name), f"a list is expected, not {_show(value)}")
        return value

    def text(self, name: str) -> str | None:
        """Text as it stands."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise BadField(self.where(name), f"text is expected, not {_show(value)}")

    def known(self, name: str) -> str | None:
        """Text, or None where it is one of the words for not knowing."""
        value = self.text(name)
        if value is None or value.strip().lower() in MISSING_WORDS:
            return None
        return value.strip()

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise BadField(
            self.where(name), f"true or false is expected, not {_show(value)}"
        )

    def count(self, name: str) -> int | None:
        """A whole number, not negative."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            expected = "a whole number is expected"
            raise BadField(self.where(name), f"{expected}, not {_show(value)}")
        return self._in_range(name, value)

    def scaled(self, name: str, scale: int) -> int | None:
        """A number not negative, times `scale`, to the nearest whole (half up)."""
        number = self.number(name)
        if number is None:
            return None
        exact = (number * scale).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        return self._in_range(name, int(exact))

    def number(self, name: str) -> Decimal | None:
        """A finite number."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise BadField(
                self.where(name), f"a number is expected, not {_show(value)}"
            )
        number = Decimal(value)
        # A comparison takes a number of any size; `abs` would round it first.
        if number.copy_abs() > MAX_READING:
            raise BadField(self.where(name), f"out of range: {_show(value)}")
        return number

    def score(self, name: str) -> int | None:
        """A share from 0 to 1, in units of SCORE_SCALE."""
        number = self.number(name)
        if number is not None and not 0 <= number <= 1:
            raise BadField(self.where(name), f"not between 0 and 1: {number}")
        return self.scaled(name, SCORE_SCALE)

    def moment(self, name: str) -> datetime | None:
        """An ISO time with its zone, or seconds since 1970."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, int | Decimal) and not isinstance(value, bool):
                return moment_at(value)
            if isinstance(value, str):
                return _in_utc(datetime.fromisoformat(value))
        except (ValueError, OverflowError, OSError):
            pass
        raise BadField(self.where(name), f"not a time with its zone: {_show(value)}")

    def require_characters(self) -> None:
        """Refuse an object in which some text holds half a surrogate pair."""
        path = stray_surrogate(self.values)
        if path is not None:
            raise BadField(f"{self.path}{path}".removeprefix("."), STRAY_SURROGATE)

    def as_json(self) -> str:
        """The whole object as JSON text."""
        return dump_json(self.values)

    def _in_range(self, name: str, value: int) -> int:
        if not 0 <= value <= MAX_READING:
            raise BadField(self.where(name), f"out of range: {value}")
        return value


def dump_json(value: object) -> str:
    """A document read with exact decimals, as JSON text with sorted keys."""
    return json.dumps(value, default=_float, ensure_ascii=False, sort_keys=True)


def moment_at(seconds: Decimal | int) -> datetime:
    """Seconds since 1970 as a moment. Raises ValueError where there is none."""
    try:
        return datetime.fromtimestamp(float(seconds), UTC)
    except (OverflowError, OSError):
        raise ValueError("out of range") from None


def _float(value: Decimal) -> float | str:
    # Beyond the largest float there is only infinity, which JSON has not.
    number = float(value)
    return number if math.isfinite(number) else str(value)


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment.astimezone(UTC)


def _show(value: object) -> str:
    return f"{value!r:.60}" if not isinstance(value, Decimal) else f"{value:.12g}"
