"""Lines broken between words, as wide as the screen; commands stay fit to be copied."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TextIO

LEAST_WIDTH = 20
_COMMAND = re.compile(r"(?::|\bsee)( )orket (?!:)")
"""Where a command begins that a person may want to copy."""
_AFTER = re.compile(r"(?P<comment> +(?=# ))|(?<=[;,.:)])(?P<rest> )")
"""Where one may end and a sentence go on: before a comment, behind a mark."""
_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"(?:[^"\\]|\\.)*")+""")
"""A word of a command, with what is quoted in it."""
_ONWARD = {"posix": " \\", "powershell": " `"}
"""What says at the end of a line that the command goes on in the next one."""


def columns_of(stream: TextIO) -> int:
    """Characters in a line of the terminal that `stream` goes to: $COLUMNS, if set."""
    columns = shutil.get_terminal_size().columns
    if not os.environ.get("COLUMNS"):
        try:
            columns = os.get_terminal_size(stream.fileno()).columns or columns
        except (OSError, ValueError):
            # No terminal, or none that knows: what Python takes it for.
            return max(columns, LEAST_WIDTH)
    return max(columns, LEAST_WIDTH)


def fold_line(line: str, width: int, indent: str = "  ") -> list[str]:
    """The line in lines of at most `width`, broken between words.

    A word that is longer stays whole. A command stays in one piece where it fits, and
    stands at the end of a line: whoever copies it gets nothing else with it. Where it
    does not fit it is continued as shells have it.
    """
    if len(line) <= width:
        return [line]
    command = _COMMAND.search(line)
    if command is None:
        return fold_words(line, width, indent)
    head, tail = line[: command.start(1)], line[command.end(1) :]
    lines = fold_words(head, width, indent)
    if len(lines) == 1 and " " not in head:
        # The name of the program alone: the command follows it in the same line.
        first, lines = f"{head} ", []
    else:
        first = indent
    return [*lines, *_fold_tail(tail, width, first, indent)]


def fold_command(
    line: str, width: int, indent: str, shell: str, first: str | None = None
) -> list[str]:
    """A line for `shell` (`posix` or `powershell`) in lines of at most `width`.

    They are broken between its words, and each says that the command goes on. `first`
    is what the first line opens with, in place of `indent`.
    """
    first = indent if first is None else first
    if len(first) + len(line) <= width:
        return [first + line]
    onward = _ONWARD[shell]
    lines: list[str] = []
    current = ""
    for word in _groups(line, width - len(indent) - len(onward) - 2):
        if not current:
            current = first + word
        elif len(current) + 1 + len(word) + len(onward) <= width:
            current += f" {word}"
        else:
            lines.append(current + onward)
            current = f"{indent}  {word}"
    return [*lines, current]


def _groups(line: str, width: int) -> list[str]:
    """The words of a command, an option with its values, unless that is too wide."""
    groups: list[str] = []
    for word in _WORD.findall(line):
        belongs = groups and groups[-1].startswith("-") and not word.startswith("-")
        if belongs and len(groups[-1]) + 1 + len(word) <= width:
            groups[-1] += f" {word}"
        else:
            groups.append(word)
    return groups


def _fold_tail(tail: str, width: int, first: str, indent: str) -> Iterator[str]:
    """What begins with a command, and may go on with a comment or a sentence."""
    end = None if len(first) + len(tail) <= width else _AFTER.search(tail)
    command = tail[: end.start()] if end else tail
    yield from fold_command(command, width, indent, _own_shell(), first)
    if end is None:
        return
    rest = tail[end.end() :]
    if end["comment"] is not None:
        yield from fold_words(indent + rest, width, f"{indent}# ")
    else:
        yield from fold_line(indent + rest, width, indent)


def _own_shell() -> str:
    return "powershell" if sys.platform == "win32" else "posix"


def fold_words(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of at most `width`; a word that is longer stays whole."""
    return textwrap.wrap(
        text,
        max(width, LEAST_WIDTH),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
