"""What the pages say to type: every command in a fenced block or in a sentence."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from orket.cli.main import cli
from tests.places import ROOT

PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "warehouse" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
WORKFLOWS = sorted((ROOT / "docs" / "ci").glob("*.yml"))
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(orket [^`]+)`")


@dataclass(frozen=True)
class Command:
    """One command of a page, without comments, prompts and redirections."""

    page: str
    line: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """Its words as a line; what identifies it."""
        return " ".join(self.words)

    @property
    def name(self) -> str:
        """Where it stands and what it is, for the name of a test."""
        return f"{self.page}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    """The fenced blocks in these languages, page by page."""
    return [
        Block(_name(page), _line(text, found.start(3)), found[2], found[3])
        for page in PAGES
        for text in [page.read_text("utf-8")]
        for found in _BLOCK.finditer(text)
        if found[2] in languages
    ]


def fenced() -> list[Command]:
    """Every command of a block that is for a shell."""
    shells = blocks("sh", "console")
    shells += [block for block in blocks("") if block.text.startswith("orket ")]
    return [
        Command(block.page, block.line + place, words)
        for block in shells
        for place, words in _commands(block.text)
    ]


def inline() -> list[Command]:
    """Every command of Orket's in a sentence or a table."""
    return [
        Command(_name(page), _line(text, found.start()), words)
        for page in PAGES
        for text in [_BLOCK.sub(_blank, page.read_text("utf-8"))]
        for found in _INLINE.finditer(text)
        for _, words in _commands(" ".join(found[1].split()))
    ]


def of_workflows() -> list[Command]:
    """Every command of Orket's in a workflow to copy."""
    return [
        Command(page.name, place + 1, words)
        for page in WORKFLOWS
        for place, words in _commands(
            re.sub(r"- run: (?=orket)", "", page.read_text("utf-8")), only="orket"
        )
    ]


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _line(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _commands(text: str, only: str = "") -> Iterator[tuple[int, tuple[str, ...]]]:
    """(Line, words) of each; a command goes on behind `\\` and in open quotes."""
    begun, start = "", 0
    for place, line in enumerate(text.splitlines()):
        if not begun:
            start = place
            if only and not line.strip().startswith(f"{only} "):
                continue
        begun = f"{begun}\n{line}" if begun else line
        if begun.endswith("\\"):
            begun = begun[:-1]
            continue
        try:
            words = _split(begun)
        except ValueError:
            continue  # A quote is still open.
        begun = ""
        for command in words:
            yield start, command


def _split(line: str) -> list[tuple[str, ...]]:
    """The commands of a line, parted at `&&`; ValueError where a quote is open."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&>|")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in ("&&", "&", "|"):
            found.append([])
        elif word in (">", ">>"):
            next(words)
        elif word != "$" or found[-1]:
            found[-1].append(word)
    return [tuple(words) for words in found if words]


def complain(words: tuple[str, ...]) -> str | None:
    """What is wrong with a command of Orket's by its words alone, if anything.

    Verbs, options, numbers of values, and words to choose from; no value is looked at.
    """
    command: click.Command = cli
    context = click.Context(cli, **cli.context_settings)
    rest = list(words[1:])
    while isinstance(command, click.Group):
        if not rest or rest[0].startswith("-"):
            return None
        below = command.get_command(context, rest[0])
        if below is None:
            return f"there is no {rest[0]}"
        command, rest = below, rest[1:]
        # What a command is called for help by is settled by its first context.
        context = click.Context(command, parent=context)
    try:
        given, left, _ = command.make_parser(context).parse_args(rest)
        for option in command.params:
            if isinstance(option.type, click.Choice) and not option.multiple:
                value = given.get(option.name)
                if isinstance(value, str):
                    option.type.convert(value, option, context)
    except click.ClickException as failure:
        return failure.format_message()
    return f"{left} is left" if left else None
