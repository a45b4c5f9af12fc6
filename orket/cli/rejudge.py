"""What-if: thresholds of the command line that judge a sweep again without a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

import click

from orket.errors import UsageError
from orket.limits import BeyondFigures, exact_number

_OPTIONS = {
    "adherence_threshold": "--adherence-threshold",
    "latency_ceiling_seconds": "--latency-ceiling",
}


def read_decimal(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> Decimal | None:
    """A plain decimal, never through a float: 0.95 is exactly 950000 millionths."""
    if value is None:
        return None
    try:
        number = exact_number(value)
    except InvalidOperation:
        raise click.BadParameter(f"{value!r} is not a number", ctx, param) from None
    except BeyondFigures:
        raise click.BadParameter(
            f"{value!r} is beyond any figure", ctx, param
        ) from None
    if not number.is_finite() or number < 0:
        raise click.BadParameter(f"{value!r} is not a number from 0", ctx, param)
    return number


@dataclass(frozen=True, slots=True)
class Rejudge:
    """Policy values given on the command line; None keeps the sweep's own."""

    adherence_threshold: Decimal | None = None
    latency_ceiling: Decimal | None = None
    include_polluted: str | None = None
    allow_unobserved: bool | None = None
    quality_only: bool | None = None
    buckets: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    """Only the tasks of these buckets and families are judged; empty: all are."""
    as_of: datetime | None = None
    """Stored baselines count up to this moment, UTC; None: up to the sweep's start."""

    def policy_overrides(self) -> dict[str, object]:
        """Policy fields by name, as the views take them. Raises UsageError."""
        given = {
            "adherence_threshold_ppm": _scaled(
                "adherence_threshold", self.adherence_threshold
            ),
            "latency_ceiling_ns": _scaled(
                "latency_ceiling_seconds", self.latency_ceiling
            ),
            "include_polluted": self.include_polluted,
            "allow_unobserved": self.allow_unobserved,
            "quality_only": self.quality_only,
            "buckets": self.buckets or None,
            "families": self.families or None,
            "as_of": self.as_of,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_scoped(self) -> bool:
        """Whether only some tasks are judged, which not every verb can."""
        return bool(self.buckets or self.families)

    def words(self) -> list[str]:
        """The options that say the same, as words of a command line."""
        told: list[str] = []
        for option, value in (
            (_OPTIONS["adherence_threshold"], self.adherence_threshold),
            (_OPTIONS["latency_ceiling_seconds"], self.latency_ceiling),
            ("--include-polluted", self.include_polluted),
        ):
            if value is not None:
                told += [option, str(value)]
        for name, is_on in (
            ("allow-unobserved", self.allow_unobserved),
            ("quality-only", self.quality_only),
        ):
            if is_on is not None:
                told.append(f"--{name}" if is_on else f"--no-{name}")
        for option, names in (("--bucket", self.buckets), ("--family", self.families)):
            for name in names:
                told += [option, name]
        if self.as_of is not None:
            told += ["--as-of", self.as_of.isoformat()]
        return told


def _scaled(key: str, value: Decimal | None) -> int | None:
    from orket.policy import policy_value

    if value is None:
        return None
    try:
        return int(policy_value(key, value))
    except UsageError as error:
        raise UsageError(f"{_OPTIONS[key]}: {error.message}", error.hint) from None
