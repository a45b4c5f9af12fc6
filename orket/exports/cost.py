"""What a passed task costs, in words: seconds, joules, and at a price per hour.

The price is an input: it is never stored, and nothing is measured in its currency.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orket.errors import UsageError
from orket.exports.figures import seconds
from orket.text import printable

_SECONDS = 3600
_DIGITS = 3
"""Digits that an amount is shown with."""
_PRICE = re.compile(r"(?P<amount>\d{1,9}(?:\.\d{1,9})?)\s*(?P<word>[^\s\d.,]{0,12})")


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


_THOUSAND = 1000
_UNTRAINED = "what context the model was trained for is not recorded"
_ENERGIES = {"cpu": "CPU", "gpu": "GPU"}


@dataclass(frozen=True, slots=True)
class CostTable:
    """The quants of a session with what a passed task of each costs, as texts."""

    headers: list[str]
    rows: list[list[str]]
    notes: list[str]
    """What is not known of any of them, and why."""


def cost_table(session: Mapping[str, Any], price: Price | None) -> CostTable | None:
    """The table of a session of a summary; None where there is no figure to tell."""
    quants = [quant for quant in session["per_quant"] if quant["cost"]]
    energies = [
        kind
        for kind in _ENERGIES
        if any(_joules(quant["cost"], kind) is not None for quant in quants)
    ]
    has_context = any(
        quant["cost"]["context_left_tokens"] is not None for quant in quants
    )
    has_time = any(
        quant["cost"]["seconds_per_passed_task"] is not None for quant in quants
    )
    if not (has_time or energies or has_context):
        return None
    headers = ["quant", "time"]
    if price:
        unit = f" {price.currency}".rstrip()
        headers += [f"each{unit and f',{unit}'}", f"1000{unit and f',{unit}'}"]
    headers += [f"{_ENERGIES[kind]}, J" for kind in energies]
    if has_context:
        headers.append("context left")
    return CostTable(
        headers,
        [_cost_row(quant, price, energies, has_context) for quant in quants],
        list(_unknown(quants)),
    )


def cost_words(cost: Mapping[str, Any]) -> Iterator[str]:
    """What one quant costs, a sentence for what is known and for what is not."""
    from orket.warehouse.reasons import code_of

    if cost["seconds_per_passed_task"] is None:
        yield f"Cost: no time, since {cost_reason(cost['time_status'])}."
        return
    told = [f"{_span(cost, seconds)} a passed task"]
    for kind, name in _ENERGIES.items():
        if (joules := _joules(cost, kind)) is not None:
            told.append(f"{_round(joules)} J of the {name}")
        elif cost[f"{kind}_energy_status"] != code_of("cost", "no_device"):
            why = cost_reason(cost[f"{kind}_energy_status"])
            told.append(f"energy of the {name} not known: {why}")
    yield f"Cost: {'; '.join(told)}."
    if cost["context_left_tokens"] is None:
        yield f"Context left: not known, since {cost_reason(cost['context_status'])}."
    else:
        yield f"Context left: {_context_left(cost)}."


def _context_left(cost: Mapping[str, Any]) -> str:
    """How much more context there is, and what bounds it."""
    left, trained = cost["context_left_tokens"], cost["trained_context_tokens"]
    if cost["context_left_limit"] == "TRAINING":
        if not left:
            return f"none, for the model was trained for {trained:,} tokens"
        return (
            f"{left:,} tokens more, up to the {trained:,} that the model was trained "
            "for; the memory would hold them"
        )
    held = f"the memory holds {left:,} tokens more"
    if cost["context_left_limit"] == "MEMORY_ALONE":
        return f"{held}; {_UNTRAINED}"
    return held


def _cost_row(
    quant: Mapping[str, Any],
    price: Price | None,
    energies: Sequence[str],
    has_context: bool,
) -> list[str]:
    cost = quant["cost"]
    cells = [quant["quant_tag"], _span(cost, seconds)]
    if price:
        cells += [
            price.text(cost["seconds_per_passed_task"]),
            _span(cost, lambda value: price.text(value, _THOUSAND)),
        ]
    cells += [_amount(_joules(cost, kind)) for kind in energies]
    if has_context:
        cells.append(_amount(cost["context_left_tokens"]))
    return cells


def _span(cost: Mapping[str, Any], show: Any) -> str:
    """A figure with its interval, which is that of the share of tasks that pass."""
    middle = cost["seconds_per_passed_task"]
    if middle is None:
        return "-"
    low, high = cost["seconds_low"], cost["seconds_high"]
    upper = f"to {show(high)}" if high is not None else "and more"
    return f"{show(middle)} ({show(low)} {upper})"


def _joules(cost: Mapping[str, Any], kind: str) -> Decimal | None:
    joules: Decimal | None = cost[f"{kind}_joules_per_passed_task"]
    return joules


def _amount(value: Decimal | int | None) -> str:
    if value is None:
        return "-"
    return _round(value) if isinstance(value, Decimal) else f"{value:,}"


def _unknown(quants: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What has no figure, with its reason; a reason that all share is told once.

    Also what bounds the context that is left.
    """
    for name, key in (
        ("time", "time_status"),
        ("energy of the CPU", "cpu_energy_status"),
        ("energy of GPUs", "gpu_energy_status"),
        ("context left", "context_status"),
    ):
        found: dict[str, list[str]] = {}
        for quant in quants:
            if (status := quant["cost"][key]) != "OK":
                found.setdefault(status, []).append(quant["quant_tag"])
        for status, tags in found.items():
            whose = "" if len(tags) == len(quants) else f" of {', '.join(tags)}"
            yield f"No {name}{whose}: {cost_reason(status)}."
    limits = {quant["cost"]["context_left_limit"] for quant in quants}
    if "TRAINING" in limits:
        yield "Context left: no more than the model was trained for."
    if "MEMORY_ALONE" in limits:
        yield f"Context left: what the memory holds; {_UNTRAINED}."


def cost_reason(code: str) -> str:
    """Why a figure is not known, in words."""
    from orket.exports.figures import words
    from orket.warehouse.reasons import reason_named

    known = reason_named("cost", code)
    return known.meaning if known else words(code)
