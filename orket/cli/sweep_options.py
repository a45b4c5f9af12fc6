"""The options by which a preset is bent on the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import click

from orket.cli.options import OPTION_FLAGS, rejudge_options, server_options
from orket.cli.rejudge import Rejudge
from orket.levels import MARK, continues_level
from orket.planning.budget import UNTIL
from orket.tasks.sandboxes import NAMES as SANDBOXES

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """What the command line says about a preset; empty or None leaves it as it is."""

    models: tuple[str, ...] = ()
    quants: tuple[str, ...] = ()
    runs: int | None = None
    bank: str | None = None
    tasks: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    provider: str | None = None
    urls: tuple[str, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)
    """What is said of `[provider]`, by key; None says nothing."""
    discover: str | None = None
    profile: str | None = None
    seed: int | None = None
    threads: str | None = None
    affinity: str | None = None
    warmup: int | None = None
    context: int | None = None
    sandbox: str | None = None
    fidelity: bool | None = None
    runtime_target: str | None = None
    execution_mode: str | None = None
    labels: tuple[str, ...] = ()
    rejudge: Rejudge = Rejudge()


def sweep_options(command: _Command) -> _Command:
    """The options of `SweepOptions`, together as `chosen: SweepOptions`."""

    @functools.wraps(command)
    def gather(*args: Any, **options: Any) -> Any:
        server = {key.name: options.pop(key.name) for key in OPTION_FLAGS}
        values = {name: options.pop(name) for name in _FIELDS}
        for name in ("models", "buckets", "tasks"):
            values[name] = _split(values[name])
        values["quants"] = _split_quants(values["quants"])
        if server.get("serve_cmd") and values["provider"] is None:
            values["provider"] = _served_provider(server["serve_cmd"])
        return command(*args, chosen=SweepOptions(server=server, **values), **options)

    for option in reversed(_OPTIONS):
        gather = option(gather)
    return cast(_Command, rejudge_options(gather))


def budget_options(command: _Command) -> _Command:
    """The options of `with_budget`, as `budget`, `until` and `grid`."""
    for option in (
        click.option(
            "--until",
            type=click.Choice(UNTIL),
            help="Ask by rounds: until all is proven that can be; until the best "
            "value is clear too; or until all that may pass were asked all tasks.",
        ),
        click.option(
            "--grid",
            is_flag=True,
            help="Ask every quant every task, as often as --runs.",
        ),
        click.option(
            "--budget",
            metavar="TIME",
            help="Ask by rounds, what is evidence first, so long at most: 20m; none.",
        ),
    ):
        command = option(command)
    return command


def _served_provider(command: str) -> str:
    from orket.providers.serving.command import provider_of, read_command

    return provider_of(read_command(command))


def _split(values: Sequence[str]) -> tuple[str, ...]:
    parts = (part.strip() for value in values for part in value.split(","))
    return tuple(part for part in parts if part)


def _split_quants(values: Sequence[str]) -> tuple[str, ...]:
    """Quants of lists; a level goes on behind its comma: `Q4_K_M@kv=q8_0,ctx=16k`."""
    quants: list[str] = []
    for part in _split(values):
        if quants and MARK in quants[-1] and continues_level(part):
            quants[-1] = f"{quants[-1]},{part}"
        else:
            quants.append(part)
    return tuple(quants)


_OPTIONS = (
    click.option(
        "--model", "models", multiple=True, metavar="ID", help="Only these models."
    ),
    click.option(
        "--quants",
        multiple=True,
        metavar="LIST",
        help="Quants, e.g. Q8_0,Q4_K_M; at a level of KV cache or context: "
        "Q4_K_M@kv=q8_0,ctx=16k.",
    ),
    click.option(
        "--runs",
        type=click.IntRange(min=1),
        metavar="N",
        help="Repetitions of each task.",
    ),
    click.option(
        "--bank",
        metavar="NAME|FILE",
        help="Task bank: a shipped one, or your own TOML file.",
    ),
    click.option(
        "--tasks",
        multiple=True,
        metavar="N|LIST",
        help="So many tasks, or these: ids, patterns or a selection of the bank.",
    ),
    click.option(
        "--bucket",
        "buckets",
        multiple=True,
        metavar="LIST",
        help="Only these buckets: logic, refactor, mixed.",
    ),
    click.option("--provider", metavar="NAME", help="Adapter: see orket providers."),
    click.option(
        "--url",
        "urls",
        multiple=True,
        metavar="[QUANT=]URL",
        help="The server; with a server for each quant, repeat QUANT=URL.",
    ),
    click.option(
        "--discover",
        metavar="FOLDER|server",
        help="Build the quants from a folder of GGUF files, or from what the server "
        "has installed; --model picks one of several models.",
    ),
    server_options(OPTION_FLAGS),
    click.option(
        "--profile", metavar="NAME", help="Control profile: quiet, desktop, shared, ..."
    ),
    click.option("--seed", type=int, metavar="N", help="Sampling seed."),
    click.option("--threads", metavar="N|server", help="Threads of the server."),
    click.option(
        "--affinity",
        metavar="POLICY",
        help="CPU affinity: none, compact, spread, or a list like 0,2-3.",
    ),
    click.option(
        "--warmup",
        type=click.IntRange(min=1),
        metavar="N",
        help="Recorded warm-up calls at the head of each block.",
    ),
    click.option(
        "--context", type=click.IntRange(min=1), metavar="N", help="Context in tokens."
    ),
    click.option(
        "--sandbox",
        type=click.Choice(SANDBOXES),
        help="Where code answers are run.",
    ),
    click.option(
        "--fidelity/--no-fidelity",
        default=None,
        help="First ask each quant what it would say along the reference's answers.",
    ),
    click.option(
        "--runtime-target", "--venue", metavar="NAME", help="Where it runs, as a label."
    ),
    click.option(
        "--execution-mode", "--flow", metavar="NAME", help="How it runs, as a label."
    ),
    click.option(
        "--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label to keep."
    ),
)
_FIELDS = tuple(name for name in SweepOptions.__dataclass_fields__ if name != "server")
