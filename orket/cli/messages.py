"""Words for a person: everything goes to stderr, one line each, so pipes stay clean."""

from __future__ import annotations

import unicodedata

import click

PROGRAM = "orket"

# Unicode categories a terminal may act upon: control, format (bidi marks and the
# like), surrogates, line and paragraph separators.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_text(text: str) -> str:
    """`text` on one line, with every character a terminal could act upon spelled out.

    Model answers, server messages and file names are not ours: an escape sequence in
    one must not move the cursor or hide a line.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_escape_character, text))


def _escape_character(character: str) -> str:
    if unicodedata.category(character) not in _ACTIVE:
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def note(text: str) -> None:
    """Say what happens or happened."""
    _say(text)


def warn(text: str) -> None:
    """Say what the user should know, though the work goes on."""
    _say(f"warning: {text}")


def error(message: str, hint: str | None = None) -> None:
    """Say what is wrong and what to do: `orket: error: <what>: <what to do>`."""
    _say(f"error: {message}: {hint}" if hint else f"error: {message}")


def _say(text: str) -> None:
    line = " ".join(part for part in text.split("\n") if part.strip())
    click.echo(escape_text(f"{PROGRAM}: {line}"), err=True)
