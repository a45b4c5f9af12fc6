"""`orket mock-server`: a model server without a model, on loopback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import Amount, format_option
from orket.cli.output import print_line, print_rows
from orket.errors import UsageError
from orket.mockserver.dialects import DIALECTS

if TYPE_CHECKING:
    from orket.mockserver.profile import MockModel, Profile


@click.command("mock-server")
@click.argument(
    "dialect",
    metavar="|".join(DIALECTS),
    type=click.Choice(tuple(DIALECTS)),
    # Not for --list-faults: of a call without it the error is told below.
    required=False,
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="[default: the real server's]"
)
@click.option(
    "--profile",
    "profile_path",
    type=click.Path(path_type=Path),
    help="TOML with rates, answers and models.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=QUANT",
    help="A model to list; repeat for more.",
)
@click.option("--router", is_flag=True, help="llama-server: a router of all models.")
@click.option(
    "--prefill-rate", type=Amount(0, min_open=True), help="Prompt tokens per second."
)
@click.option(
    "--decode-rate", type=Amount(0, min_open=True), help="Generated tokens per second."
)
@click.option("--latency", type=Amount(0), help="Seconds before a prompt is read.")
@click.option("--load-time", type=Amount(0), help="Seconds a model takes to load.")
@click.option("--context", type=click.IntRange(4), help="Context length in tokens.")
@click.option("--answer", metavar="TEXT", help="The answer to every prompt.")
@click.option("--echo", is_flag=True, help="Answer with the prompt.")
@click.option(
    "--canned",
    multiple=True,
    metavar="REGEX=TEXT",
    help="Answer TEXT where REGEX is found in the prompt; repeat for more.",
)
@click.option(
    "--server-version",
    metavar="VERSION",
    help="Version to claim; Ollama's figures change their meaning with it.",
)
@click.option(
    "--request-metrics", is_flag=True, help="vLLM: --enable-per-request-metrics."
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:every=N][:on=all]",
    help="Inject a fault; repeat for more.",
)
@click.option("--list-faults", is_flag=True, help="List the faults and leave.")
@format_option
def mock_server(
    dialect: str | None,
    port: int | None,
    profile_path: Path | None,
    models: tuple[str, ...],
    canned: tuple[str, ...],
    faults: tuple[str, ...],
    list_faults: bool,
    output_format: str | None,
    **settings: Any,
) -> None:
    """Speak as DIALECT on 127.0.0.1 without a model; rates and faults as you like.

    What it reports is computed from the rates, so that two runs report the same. One
    request can ask for a fault with the header X-Orket-Fault: NAME.
    """
    from orket.mockserver import FAULTS, MockServer, parse_fault

    if list_faults:
        rows = [{"fault": name, "meaning": text} for name, text in FAULTS.items()]
        print_rows(rows, ["fault", "meaning"], output_format)
        return
    if dialect is None:
        from orket.cli.examples import EXAMPLES

        raise UsageError(
            "no dialect given",
            f"name one of {', '.join(DIALECTS)}, as in: "
            + EXAMPLES["orket mock-server"],
        )
    profile = _build_profile(profile_path, models, canned, settings)
    chosen = DIALECTS[dialect].default_port if port is None else port
    server = MockServer(dialect, profile, [parse_fault(f) for f in faults], chosen)
    print_line(server.url)
    names = ", ".join(model.name for model in profile.models)
    messages.note(f"{dialect} on {server.url} with {names}; Ctrl-C ends it")
    try:
        server.serve()
    finally:
        server.release()


def _build_profile(
    path: Path | None,
    models: tuple[str, ...],
    canned: tuple[str, ...],
    settings: dict[str, Any],
) -> Profile:
    from orket.mockserver.profile import (
        DEMO,
        ECHO,
        CannedAnswer,
        check_profile,
        load_profile,
    )

    profile = load_profile(path) if path else DEMO
    renamed = {
        "prefill_rate": "prefill_rate",
        "decode_rate": "decode_rate",
        "latency": "latency_seconds",
        "load_time": "load_seconds",
        "context": "context_tokens",
        "answer": "text",
        "server_version": "version",
    }
    changes: dict[str, Any] = {
        field: settings[option]
        for option, field in renamed.items()
        if settings[option] is not None
    }
    if settings["echo"]:
        changes["mode"] = ECHO
    if settings["request_metrics"]:
        changes["request_metrics"] = True
    if settings["router"]:
        changes["router"] = True
    if canned:
        pairs = [_split_pair(pair, "--canned", "REGEX=TEXT") for pair in canned]
        changes["answers"] = tuple(CannedAnswer(*pair) for pair in pairs)
    listed: tuple[MockModel, ...] = profile.models
    if models:
        from orket.mockserver.profile import MockModel

        pairs = [_split_pair(pair, "--model", "NAME=QUANT") for pair in models]
        listed = tuple(MockModel(*pair) for pair in pairs)
    if settings["decode_rate"] is not None:
        # A rate given on the command line holds for every model.
        listed = tuple(replace(model, decode_rate=None) for model in listed)
    return check_profile(replace(profile, models=listed, **changes))


def _split_pair(text: str, option: str, form: str) -> tuple[str, str]:
    left, separator, right = text.rpartition("=")
    if not (left and separator and right):
        raise UsageError(f"cannot read {option} {text!r}", f"write {form}")
    return left, right
