"""What a passed task costs at a price per hour, which the user gives.

The price is an input: it is never stored, and nothing is measured in its currency.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from orket.errors import UsageError
from orket.text import printable

_SECONDS = 3600
_DIGITS = 3
"""Digits that an amount is shown with."""
_PRICE = re.compile(r"(?P<amount>\d{1,9}(?:\.\d{1,9})?)\s*(?P<word>\S{0,12})")


@dataclass(frozen=True, slots=True)
class Price:
    """What an hour of a machine costs, and the user's word for the currency."""

    per_hour: Decimal
    currency: str = ""

    def of(self, seconds: Decimal | None, tasks: int = 1) -> Decimal | None:
        """What so many tasks cost that each take these seconds; None where unknown."""
        return None if seconds is None else self.per_hour * seconds * tasks / _SECONDS

    def text(self, seconds: Decimal | None, tasks: int = 1) -> str:
        """The same for a person: three digits, and `-` where it is unknown."""
        amount = self.of(seconds, tasks)
        return "-" if amount is None else _round(amount)

    def __str__(self) -> str:
        return f"{self.per_hour:f} {self.currency}".rstrip()


def read_price(text: str) -> Price:
    """A price like `1.20`, `1.20 EUR` or `0.79$`. Raises UsageError."""
    found = _PRICE.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{printable(text)!r} is no price per hour",
            "write a number, and a currency if you like: 1.20 or '1.20 EUR'",
        )
    return Price(Decimal(found["amount"]), printable(found["word"]))


def _round(amount: Decimal) -> str:
    """Three digits, without an exponent; whole numbers keep all of theirs."""
    if not amount:
        return "0"
    places = max(_DIGITS - 1 - amount.adjusted(), 0)
    return f"{amount:.{places}f}"
