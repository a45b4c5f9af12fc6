"""How a quant is run, on a terminal: lines to copy, then what stands behind them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orket.cli.output import print_command, print_line, print_prose
from orket.exports.figures import size, words
from orket.exports.handover import Chosen

Row = dict[str, Any]

_REQUESTS = ("temperature", "seed", "thinking")
"""Settings of a request: a server may have others as its defaults."""
_STATES = {
    "VERIFIED": "verified",
    "NOT_VERIFIED": "asked for, not verified",
    "OWN_CHOICE": "the server's own choice, verified",
}
_NAMES = {"kv_cache": "KV cache", "gpu": "layers on a GPU"}
_MISSING = {"VARIES": " (runs differ)", "NOT_KNOWN": ""}


def print_chosen(chosen: Chosen, shell: str, show: str) -> None:
    """Print one quant; a line that is to be copied is broken as its shell goes on.

    `show` is the command that shows the whole sweep.
    """
    if chosen.use is None:
        print_prose(_nothing(chosen, show))
        return
    print_prose(_opening(chosen, chosen.use))
    _print_lines(chosen, shell)
    for line in _behind(chosen):
        print_prose(line)


def _nothing(chosen: Chosen, show: str) -> str:
    best = chosen.best_value_quant
    so_far = f" {best} looks best so far: --quant {best}." if best else ""
    return f"{chosen.answer}{so_far} What would settle it: {show}"


def _opening(chosen: Chosen, use: Row) -> str:
    version = use["provider_version"]
    server = f"{use['provider']}{f' {version}' if version else ''}"
    asked = "" if use["is_advised"] else f"{use['quant_tag']} was asked for. "
    which = "" if use["is_advised"] else f"{use['quant_tag']} was "
    measured = f"{which}{'measured' if which else 'Measured'} with {server}"
    return f"{asked}{chosen.answer} {measured}; to run it in the same way:"


def _print_lines(chosen: Chosen, shell: str) -> None:
    lines = chosen.lines(shell)
    print_line()
    if chosen.how.modelfile is not None:
        print_line("  Modelfile:")
        for line in chosen.how.modelfile.splitlines():
            print_line(f"    {line}")
        print_line()
    if lines is None:
        print_prose(
            "  The line cannot be written safely for this shell: a name in it has "
            "characters that it would act upon. Its words stand in --format json."
        )
    elif not lines:
        print_prose("  No line: not all that it takes is recorded.")
    for line in lines or ():
        print_command(line, shell)
    print_line()


def _behind(chosen: Chosen) -> Iterator[str]:
    assert chosen.use is not None
    used = chosen.how.used
    known = [row for row in chosen.settings if row["value"] is not None]
    server = [row for row in known if row["setting"] not in _REQUESTS]
    inside = [_told(row) for row in server if row["setting"] in used]
    outside = [_told(row) for row in server if row["setting"] not in used]
    asked = [_told(row) for row in known if row["setting"] in _REQUESTS]
    missing = [
        f"{_name(row)}{_MISSING[row['status']]}"
        for row in chosen.settings
        if row["value"] is None
    ]
    for title, entries in (
        ("In it", inside),
        ("Measured so too, and not in it", outside),
        ("Requests were sent with", asked),
        ("Not known", missing),
    ):
        if entries:
            yield f"{title}: {', '.join(entries)}."
    if chosen.untimed:
        yield chosen.untimed
    for note in chosen.how.notes:
        yield f"Note: {note}."
    yield from _weights(chosen.use)


def _told(row: Row) -> str:
    return f"{_name(row)} {row['value']} ({_STATES[row['status']]})"


def _name(row: Row) -> str:
    setting = row["setting"]
    return _NAMES.get(setting, words(setting))


def _weights(use: Row) -> Iterator[str]:
    digest = use["model_digest"]
    if digest is None:
        yield "Weights: no digest is recorded, so another file could bear this name."
        return
    of_size = f", {size(use['model_bytes'])}" if use["model_bytes"] else ""
    yield f"Weights: {digest}{of_size}."
