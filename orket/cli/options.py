"""Options that several verbs share, as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from orket.cli import messages
from orket.cli.rejudge import Rejudge, read_decimal
from orket.errors import WarehouseError
from orket.policy import INCLUDE_POLLUTED
from orket.providers.options import OPTION_KEYS, OptionKey

if TYPE_CHECKING:
    from orket.warehouse import Warehouse

FORMATS = ("table", "json", "csv")
OPTION_FLAGS = tuple(key for key in OPTION_KEYS if key.flag)
"""The keys of `[provider]` that have an option of their own."""
_MOST = 10**9
"""Largest amount of seconds, or of tokens per second."""


class Amount(click.FloatRange):
    """A number of seconds, or of tokens per second: finite, as `nan` and `inf` are
    not, which would be no limit at all."""

    name = "float"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number. Raises click.BadParameter."""
        number: float = super().convert(value, param, ctx)
        if not number <= _MOST:
            self.fail(f"{value!r} is not a number up to {_MOST:.0f}", param, ctx)
        return number


_Command = TypeVar("_Command", bound=Callable[..., Any])


def store_option(command: _Command) -> _Command:
    """`-w/--warehouse`, as `store: Warehouse`, opened."""
    return _warehouse_option(command, "NONE")


def judging_store_option(command: _Command) -> _Command:
    """The same for a verb that others rely on: a sweep is read whole or not at all.

    Events that cannot be read and may be of any sweep are named at its end.
    """
    return _warehouse_option(command, "EVENTS")


def running_store_option(command: _Command) -> _Command:
    """The same for a verb that measures: what others lost does not make it fail."""
    return _warehouse_option(command, "EVENTS", is_failing=False)


def reading_store_option(command: _Command) -> _Command:
    """The same for a verb that only shows what is there, and what is missing of it.

    What cannot be read is left out of what it shows, and named at its end.
    """
    return _warehouse_option(command, "ALL")


def bare_store_option(command: _Command) -> _Command:
    """The same for a verb that tells itself what is missing."""
    return _warehouse_option(command, "NONE", is_telling=False)


def _warehouse_option(
    command: _Command,
    tolerance: str,
    *,
    is_telling: bool = True,
    is_failing: bool = True,
) -> _Command:
    @functools.wraps(command)
    def gather(*args: Any, warehouse: str | None, **options: Any) -> Any:
        from orket.warehouse import Warehouse
        from orket.warehouse.tolerance import Tolerance

        store = Warehouse.open(warehouse, tolerance=Tolerance[tolerance])
        is_done, told = False, ""
        try:
            result = command(*args, store=store, **options)
            is_done = True
        except WarehouseError as error:
            told = error.message
            raise
        finally:
            _publish(store)
            if is_telling:
                is_named_later = is_done and is_failing
                _tell_missing(store, told, with_bearing=not is_named_later)
        if tolerance != "NONE" and is_failing:
            store.require_whole()
        return result

    option = click.option(
        "-w",
        "--warehouse",
        metavar="PLACE",
        help="Warehouse: a folder, or s3://BUCKET/FOLDER. "
        "[default: $ORKET_WAREHOUSE, else ./warehouse]",
    )
    return cast(_Command, option(gather))


def _publish(store: Warehouse) -> None:
    """Store what was written; a store that cannot be reached loses nothing."""
    try:
        store.publish()
    except WarehouseError as error:
        messages.warn(
            f"{error}; what is not stored yet waits in {store.path}, and the next "
            "command stores it"
        )


def _tell_missing(store: Warehouse, told: str, with_bearing: bool) -> None:
    """Say what lies in quarantine of all that the verb may have looked at, and what it
    met and did without; `told` is what it failed with."""
    for part in store.missing():
        messages.warn(f"{part}; orket verify names it")
    for damage in store.left_out.bearing() if with_bearing else ():
        if str(damage) not in told:
            messages.warn(f"{damage}: {damage.remedy}")
    for damage in store.left_out.beside():
        messages.warn(f"{damage}; it is of another sweep: {damage.remedy}")


def format_option(command: _Command) -> _Command:
    """`--format`, as `output_format: str | None` for `print_rows`."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(FORMATS),
        help="[default: table on a terminal, csv in a pipe]",
    )(command)


class RowFormat(click.Choice[str]):
    """`table`, `json`, `csv` and what else a verb offers; `text` is a table too."""

    def __init__(self, *more: str) -> None:
        super().__init__((*FORMATS, *more))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The format; sentences with a table among them are one way to show rows."""
        plain = "table" if value == "text" else value
        return super().convert(plain, param, ctx)


def output_option(command: _Command) -> _Command:
    """`-o/--output`, as `output: str | None`; `-` is stdout."""
    return click.option(
        "-o",
        "--output",
        metavar="FILE",
        help="Write to this file; - is stdout.",
    )(command)


def price_option(command: _Command) -> _Command:
    """`--price`, as `price: Price | None`: what an hour of the machine costs."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
        from orket.exports.cost import read_price

        return None if value is None else read_price(value)

    return click.option(
        "--price",
        callback=read,
        metavar="AMOUNT",
        help="What an hour of the machine costs, e.g. 1.20 or '1.20 EUR': tells what a "
        "passed task costs, from its wall time.",
    )(command)


def server_options(keys: Sequence[OptionKey]) -> Callable[[_Command], _Command]:
    """How a server is reached, each key as a parameter; None says nothing."""

    def decorate(command: _Command) -> _Command:
        for key in reversed(keys):
            assert key.flag is not None
            command = click.option(
                key.flag,
                key.name,
                is_flag=key.is_switch,
                type=click.IntRange(min=1) if key.is_number else None,
                default=None,
                metavar=key.metavar,
                help=key.about,
            )(command)
        return command

    return decorate


def rejudge_options(command: _Command) -> _Command:
    """The what-if options, together as `rejudge: Rejudge`."""

    @functools.wraps(command)
    def gather(
        *args: Any,
        adherence_threshold: Decimal | None,
        latency_ceiling: Decimal | None,
        include_polluted: str | None,
        allow_unobserved: bool | None,
        quality_only: bool | None,
        **options: Any,
    ) -> Any:
        rejudge = Rejudge(
            adherence_threshold,
            latency_ceiling,
            include_polluted,
            allow_unobserved,
            quality_only,
        )
        return command(*args, rejudge=rejudge, **options)

    for option in reversed(_REJUDGE):
        gather = option(gather)
    return cast(_Command, gather)


def as_of_option(command: _Command) -> _Command:
    """The moment up to which stored baselines, pins and prunes count, as `as_of`."""
    return click.option(
        "--as-of",
        type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
        metavar="DATE",
        help="Compare with what was stored up to this moment (UTC), "
        "not up to the sweep's start.",
    )(command)


def past_options(command: _Command) -> _Command:
    """The what-if options of a verb that reads, together as `rejudge: Rejudge`."""

    @functools.wraps(command)
    def gather(
        *args: Any, rejudge: Rejudge, as_of: datetime | None, **options: Any
    ) -> Any:
        return command(*args, rejudge=replace(rejudge, as_of=as_of), **options)

    return rejudge_options(as_of_option(cast(_Command, gather)))


def scope_options(command: _Command) -> _Command:
    """The what-if options and the tasks to judge by, together as `rejudge: Rejudge`."""

    @functools.wraps(command)
    def gather(
        *args: Any,
        rejudge: Rejudge,
        bucket: tuple[str, ...],
        family: tuple[str, ...],
        **options: Any,
    ) -> Any:
        scoped = replace(rejudge, buckets=bucket, families=family)
        return command(*args, rejudge=scoped, **options)

    for option in reversed(_SCOPE):
        gather = option(gather)
    return past_options(cast(_Command, gather))


_SCOPE = (
    click.option(
        "--bucket",
        multiple=True,
        metavar="NAME",
        help="Judge by the tasks of this bucket alone; may be repeated.",
    ),
    click.option(
        "--family",
        multiple=True,
        metavar="NAME",
        help="... or of this family; both may be given, and repeated.",
    ),
)
_REJUDGE = (
    click.option(
        "--adherence-threshold",
        callback=read_decimal,
        metavar="RATIO",
        help="Share of the reference's adherence to keep, e.g. 0.95.",
    ),
    click.option(
        "--latency-ceiling",
        callback=read_decimal,
        metavar="SECONDS",
        help="Highest mean wall time of a run.",
    ),
    click.option(
        "--include-polluted",
        type=click.Choice(INCLUDE_POLLUTED),
        help="Let polluted runs count: only where no clean one is, or always.",
    ),
    click.option(
        "--allow-unobserved/--no-allow-unobserved",
        default=None,
        help="Let runs count whose environment was not observed.",
    ),
    click.option(
        "--quality-only/--no-quality-only",
        default=None,
        help="Judge answers alone, which need no quiet machine: load excludes no run, "
        "and nothing is said of speed.",
    ),
)
