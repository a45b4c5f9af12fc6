"""`orket providers`: which model servers answer here, and what each can tell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orket.cli import messages
from orket.cli.options import OPTION_FLAGS, Amount, format_option, server_options
from orket.cli.output import print_rows

if TYPE_CHECKING:
    from orket.providers.contract import Adapter, ModelRef, ServerInfo, ServerOptions

EMBEDDED = "embedded"

_CAPABILITIES = (
    ("streaming", "streams"),
    ("token_counts", "tokens"),
    ("cached_counts", "cached"),
    ("internal_timings", "times"),
    ("seed", "seed"),
    ("context_control", "context"),
    ("thread_control", "threads"),
    ("batch_control", "batch"),
    ("quant_identity", "quant"),
    ("memory_report", "memory"),
    ("cache_control", "cache off"),
)
_COLUMNS = ("provider", "url", "version", *_CAPABILITIES, "note")
_FINDINGS = ("question", "answer", "evidence")


@click.group(invoke_without_command=True)
@format_option
@click.pass_context
def providers(context: click.Context, output_format: str | None) -> None:
    """List the model servers that answer here, and what each can tell.

    Asks the default port of each kind of server; `-` stands for not found out. Any
    other server: orket providers probe URL
    """
    if context.invoked_subcommand is not None:
        return
    from orket.providers.contract import ServerOptions
    from orket.providers.recognise import scan_default_ports

    rows = [_describe_embedded()]
    for found in scan_default_ports():
        if found.provider is None:
            rows.append({"url": found.url, "note": found.note})
            continue
        row = _describe(found.provider, ServerOptions(url=found.url))
        notes = [note for note in (found.note, row.get("note")) if note]
        rows.append({**row, "note": "; ".join(notes) or None})
    print_rows(rows, _COLUMNS, output_format, layout="blocks")
    if len(rows) == 1:
        messages.note("no model server answers on its default port")


@providers.command()
@click.argument("url", required=False)
@click.option(
    "--model",
    metavar="NAME",
    help="Model to ask, as the server names it; a GGUF file for the embedded engine. "
    "[default: the first installed]",
)
@click.option("--provider", metavar="NAME", help="[default: found out]")
@click.option(
    "--timeout",
    "call_seconds",
    metavar="SECONDS",
    type=Amount(0, min_open=True),
    default=120.0,
    show_default="120",
    help="How long one call may take; a server that takes longer is asked no more.",
)
@server_options([key for key in OPTION_FLAGS if key.asks])
@format_option
def probe(
    url: str | None,
    model: str | None,
    provider: str | None,
    call_seconds: float,
    output_format: str | None,
    **server: Any,
) -> None:
    """Find out whether the server at URL does what it is told and says what it does.

    Makes some twenty short calls: does it ignore unknown options, cache silently,
    honour the seed, cut long prompts, agree between streamed and whole answers?
    """
    from orket.providers.options import build_options
    from orket.providers.registry import create_adapter

    options = build_options({"url": url, "call_seconds": call_seconds, **server})
    name = provider or _find_provider(options, model)
    adapter = create_adapter(name, options)
    try:
        rows = _probe(adapter, options, model, call_seconds)
        # Before it is let go of: a server that hangs lets that fail too.
        print_rows(rows, _FINDINGS, output_format)
    finally:
        adapter.close()


def _probe(
    adapter: Adapter, options: ServerOptions, model: str | None, call_seconds: float
) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from orket.providers.http.endpoint import read_endpoint, without_version
    from orket.providers.http.transport import Transport
    from orket.providers.probe import probe as ask_all

    ref = _choose_model(adapter, model)
    if options.url is None:
        report = ask_all(adapter, ref, call_seconds=call_seconds)
    else:
        endpoint = read_endpoint(
            without_version(options.url),
            options.api_key_env,
            options.api_key_file,
        )
        with Transport(endpoint, options.insecure) as transport:
            report = ask_all(adapter, ref, transport, call_seconds)
    version = report.info.version or "unknown version"
    messages.note(f"asked {ref.name} of {adapter.name} ({version})")
    for note in report.info.notes:
        messages.note(note)
    return [asdict(finding) for finding in report.findings]


def _choose_model(adapter: Adapter, model: str | None) -> ModelRef:
    from orket.errors import UsageError
    from orket.providers.contract import ListsModels, ModelRef
    from orket.providers.probe import choose_model
    from orket.quants import UNKNOWN_QUANT

    if adapter.name == EMBEDDED:
        if model is None:
            raise UsageError("no file to probe", "give a GGUF file with --model")
        path = Path(model)
        return ModelRef(path.stem, UNKNOWN_QUANT, path.stem, path)
    found = adapter.installed_models() if isinstance(adapter, ListsModels) else []
    return choose_model(found, model, adapter.name)


def _find_provider(options: ServerOptions, model: str | None) -> str:
    from orket.errors import UsageError
    from orket.providers.recognise import recognise

    if options.url is None and model is not None and model.endswith(".gguf"):
        return EMBEDDED
    if options.url is None:
        raise UsageError(
            "no server to probe",
            "give its URL: orket providers probe URL, or a GGUF file with --model",
        )
    found = recognise(options)
    if found.provider is None:
        raise UsageError(f"{found.url} {found.note}")
    if found.note is not None:
        messages.note(f"{found.url} {found.note}")
    return found.provider


def _describe_embedded() -> dict[str, Any]:
    from orket.providers.contract import ServerOptions

    return _describe(EMBEDDED, ServerOptions())


def _describe(provider: str, options: ServerOptions) -> dict[str, Any]:
    """One row: what the server says of itself, or why it says nothing."""
    from orket.errors import OrketError
    from orket.providers.registry import create_adapter

    try:
        adapter = create_adapter(provider, options)
        try:
            return _info_row(adapter.describe())
        finally:
            adapter.close()
    except OrketError as error:
        return {"provider": provider, "url": options.url, "note": str(error)}


def _info_row(info: ServerInfo) -> dict[str, Any]:
    said: Mapping[str, Any] = {
        key: getattr(info.capabilities, key) for key, _ in _CAPABILITIES
    }
    return {
        "provider": info.provider,
        "url": info.endpoint,
        "version": info.version,
        "note": "; ".join(info.notes) or None,
        **said,
    }
