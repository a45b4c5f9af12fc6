"""How a server is reached: declared once, from the preset and the command line on.

A field made by `option` is a key of a preset's `[provider]`, an option of every verb
that makes calls, and what the adapter is given. A new one is declared here and read by
the adapter that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any


def option(
    flag: str | None,
    about: str,
    default: Any = None,
    metavar: str | None = None,
    asks: bool = False,
) -> Any:
    """A key of `[provider]`.

    `flag` is its option on the command line, `asks` whether it is needed already to
    ask a server what it is. A default of True or False makes it a switch, a number one
    that takes a whole number from 1.
    """
    about_it = {"flag": flag, "about": about, "metavar": metavar, "asks": asks}
    return field(default=default, metadata=about_it)


@dataclass(frozen=True)
class ServerOptions:
    """How to reach a server, or how to start one."""

    url: str | None = option(None, "None: the adapter's default, or its own engine.")
    """May hold a password: shown by `orket.urls.without_secret` alone."""
    engine: str | None = option(
        "--engine",
        "A llama-server binary to start instead of the embedded one.",
        metavar="FILE",
    )
    serve_cmd: str | None = option(
        "--serve-cmd",
        "Start this command for each quant, and end it: {quant}, {path}, {port}, ...",
        metavar="COMMAND",
    )
    """May hold a key: shown by `shown_command` of `serving.command` alone."""
    serve_timeout_seconds: int = option(
        "--serve-timeout",
        "Time that a server so started may take until it answers.",
        1800,
        metavar="SECONDS",
    )
    streaming: bool = option("--stream/--no-stream", "Streamed or whole answers.", True)
    unload_others: bool = option(
        "--unload-others",
        "Unload other models from the server before measuring.",
        False,
    )
    api_key_env: str | None = option(
        "--api-key-env",
        "Environment variable with the API key.",
        metavar="NAME",
        asks=True,
    )
    api_key_file: Path | str | None = option(
        "--api-key-file", "File with the API key.", metavar="FILE", asks=True
    )
    insecure: bool = option(
        "--insecure",
        "Do not verify the TLS certificate; the summary says so.",
        False,
        asks=True,
    )
    log_folder: Path | None = None
    """Where the output of servers that are started is kept; None keeps none."""
    call_seconds: float | None = None
    """How long a call of the sweep may take: a trial before it takes no longer."""
    clock: Any = None
    """A clock in place of the machine's (`orket.providers.http.wire.WallClock`)."""


@dataclass(frozen=True, slots=True)
class OptionKey:
    """One key of `[provider]` and its option on the command line."""

    name: str
    is_switch: bool
    flag: str | None
    about: str
    metavar: str | None
    asks: bool
    is_number: bool = False


OPTION_KEYS = tuple(
    OptionKey(
        each.name,
        isinstance(each.default, bool),
        is_number=type(each.default) is int,
        **each.metadata,
    )
    for each in fields(ServerOptions)
    if each.metadata
)


def build_options(said: Mapping[str, Any]) -> ServerOptions:
    """The options with every key that is said; None says nothing."""
    return ServerOptions(
        **{key: value for key, value in said.items() if value is not None}
    )
