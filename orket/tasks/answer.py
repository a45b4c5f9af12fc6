"""Reads a model's answer: its text, its fenced blocks, its JSON, its numbers.

Every function here is total: it takes any text whatever and never raises anything
but the ValueError its docstring names.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import unicodedata
import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

MAX_ANSWER_CHARS = 400_000
"""Longer answers fail every check unread: no task asks for a tenth of it."""

MAX_JSON_DEPTH = 64
"""Deeper JSON is refused before the parser can exhaust its stack."""

MAX_CODE_CHARS = 20_000
"""Longer code is refused unread: below it no text can exhaust Python's parser."""

_GRAMMAR = (3, 11)
"""One grammar, whatever Python runs Orket."""

# Each part takes all it can and gives nothing back: no line is tried over and over.
_OPENING = re.compile(r" {0,3}(`{3,}+|~{3,}+)[ \t]*+([^`\s]*+)[^`\n]*+")
# A string that never ends reaches to the end: a retry at every quote would be slow.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.?)*+(?:"|\Z)|[\[{\]}]', re.DOTALL)
_THOUGHT_END = "</think>"
_THOUGHT_START = "<think>"

# Digits joined by . , : / ^ _ are one token, so that no part of a date, a time, a
# fraction or a decimal comma is mistaken for a number.
_NUMBER_TOKEN = re.compile(
    r"(?<![0-9A-Za-z_.^])"
    r"(?:(?<![\w)\]])[+\-\u2212])?"
    r"(?:[0-9]+(?:[.,:/^_][0-9]+)*|\.[0-9]+)"
    r"(?:[eE][+-]?[0-9]{1,3}(?![0-9A-Za-z_]))?"
)
_NUMBER = re.compile(
    r"([+\-\u2212]?)((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?)"
    r"(?:[eE]([+-]?[0-9]{1,3}))?"
)
_MAX_NUMBER_CHARS = 100


@dataclass(frozen=True)
class Block:
    """A fenced block: the word after the opening fence, and what is inside."""

    language: str
    text: str
    closed: bool


@dataclass(frozen=True)
class Answer:
    """An answer as the checks read it."""

    text: str
    """NFC, line ends as \\n, without a leading <think> block and outer white space."""
    blocks: tuple[Block, ...]

    @property
    def code_chars(self) -> int:
        """Characters inside fenced blocks."""
        return sum(len(block.text) for block in self.blocks)


def read_answer(raw: str) -> Answer:
    """Bring a raw answer into the form that checks read."""
    text = _drop_thought(normalise(raw)).strip()
    return Answer(text=text, blocks=tuple(find_blocks(text)))


def normalise(text: str) -> str:
    """NFC, line ends as \\n, no byte order mark."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return unicodedata.normalize("NFC", _order_marks(text))


def _order_marks(text: str) -> str:
    """The text with its long runs of combining marks in canonical order.

    That changes no normal form. Python's own normalisation moves each mark past all
    that stand before it: minutes for an answer that is one long run of them.
    """
    if text.isascii():
        return text
    # Taken apart first: a character that is no mark can be made of marks.
    apart = itertools.chain.from_iterable(map(_take_apart, text))
    runs = itertools.groupby(apart, lambda char: unicodedata.combining(char) > 0)
    return "".join(
        "".join(sorted(run, key=unicodedata.combining) if is_mark else run)
        for is_mark, run in runs
    )


@lru_cache(maxsize=4096)
def _take_apart(char: str) -> str:
    return unicodedata.normalize("NFD", char)


def _drop_thought(text: str) -> str:
    """Leave out a leading <think> block; one that never ends leaves nothing."""
    start = text.lstrip()
    if not start.startswith(_THOUGHT_START):
        return text
    _, ended, rest = start.partition(_THOUGHT_END)
    return rest if ended else ""


def find_blocks(text: str) -> list[Block]:
    """Fenced blocks in order; one that is never closed reaches to the end."""
    blocks: list[Block] = []
    fence, language, inside = "", "", [""]
    for line in text.split("\n"):
        bare = line.strip()
        if fence and set(bare) == {fence[0]} and len(bare) >= len(fence):
            blocks.append(Block(language, "\n".join(inside), True))
            fence = ""
        elif fence:
            inside.append(line)
        elif opening := _OPENING.fullmatch(line):
            fence, language, inside = opening[1], opening[2].lower(), []
    if fence:
        blocks.append(Block(language, "\n".join(inside), False))
    return blocks


def read_code(answer: Answer) -> str:
    """The Python code: all Python blocks, else the only block, else the whole text."""
    python = [
        b.text for b in answer.blocks if b.language in ("python", "py", "python3")
    ]
    if python:
        return "\n".join(python)
    if len(answer.blocks) == 1:
        return answer.blocks[0].text
    plain = [block.text for block in answer.blocks if not block.language]
    return "\n".join(plain) if plain else answer.text


@lru_cache(maxsize=8)
def parse_code(code: str) -> ast.Module:
    """The syntax tree of an answer's code. Raises ValueError with a reason code."""
    if not code.strip():
        raise ValueError("CODE_MISSING")
    if len(code) > MAX_CODE_CHARS:
        raise ValueError("CODE_TOO_LONG")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code, feature_version=_GRAMMAR)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("CODE_INVALID") from None


def read_json(answer: Answer) -> Any:
    """The JSON value of the answer: its only JSON block, else its only block, else all.

    Raises ValueError with a reason code. A key twice, NaN and an infinite number are
    no JSON here: readers differ in what they make of them.
    """
    named = [block.text for block in answer.blocks if block.language == "json"]
    blocks = named or [block.text for block in answer.blocks]
    if len(blocks) > 1:
        raise ValueError("JSON_AMBIGUOUS")
    return parse_json(blocks[0] if blocks else answer.text)


def parse_json(text: str) -> Any:
    """Parse strict JSON. Raises ValueError with a reason code."""
    if _json_depth(text) > MAX_JSON_DEPTH:
        raise ValueError("JSON_TOO_DEEP")
    try:
        return json.loads(
            text,
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
        )
    except _Refused as refused:
        raise ValueError(str(refused)) from None
    except (ValueError, RecursionError):
        raise ValueError("JSON_INVALID") from None


class _Refused(Exception):
    """JSON that parses, but that no check may accept."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("JSON_DUPLICATE_KEY")
    return found


def _refuse_constant(_: str) -> Any:
    raise _Refused("JSON_NOT_FINITE")


def _parse_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Refused("JSON_NOT_FINITE")
    return value


def _json_depth(text: str) -> int:
    """Deepest nesting of brackets outside of strings."""
    depth = deepest = 0
    for token in _JSON_TOKEN.findall(text):
        if token in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in ("]", "}"):
            depth -= 1
    return deepest


def same_json(left: Any, right: Any) -> bool:
    """Equality of JSON values: 1 equals 1.0, but true is no number."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same_json(value, right[key]) for key, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    if isinstance(left, str) and isinstance(right, str):
        return normalise(left) == normalise(right)
    return left is None and right is None


def last_number(text: str) -> Fraction:
    """The last number in a text. Raises ValueError with a reason code."""
    tokens = _NUMBER_TOKEN.findall(text)
    if not tokens:
        raise ValueError("NUMBER_MISSING")
    return parse_number(tokens[-1])


def whole_number(text: str) -> Fraction:
    """The number that is the whole text, emphasis and a full stop apart.

    Raises ValueError with a reason code.
    """
    return parse_number(strip_decoration(text))


def parse_number(token: str) -> Fraction:
    """A number without regard to a locale: 1,234.5 is allowed, 1.234,5 is not.

    Raises ValueError with a reason code.
    """
    parts = _NUMBER.fullmatch(token) if len(token) <= _MAX_NUMBER_CHARS else None
    if parts is None or not parts[2]:
        raise ValueError("NUMBER_UNREADABLE")
    value = Fraction(parts[2].replace(",", "")) * Fraction(10) ** int(parts[3] or 0)
    return -value if parts[1] in ("-", "\u2212") else value


def strip_decoration(text: str) -> str:
    """Text without the quotes, the emphasis and the full stop around it."""
    marks = " \t\n\"'`*_\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb"
    return text.strip(marks).rstrip(".\u3002").strip(marks)
