"""Tells damaged form from wrong content in an answer that failed."""

from __future__ import annotations

import unicodedata

from orket.tasks.answer import Answer

MIN_REPEATS = 5
"""A unit must stand this often in a row at the end to be a loop."""

MIN_LOOP_CHARS = 60
"""A loop must fill at least this much of the end."""

MAX_UNIT_CHARS = 400
"""Longest repeated unit looked for."""

MIN_LETTERS = 8
"""Fewer letters than this have no language."""

_SCRIPTS = {
    "ja": {"CJK", "HIRAGANA", "KATAKANA"},
    "ko": {"HANGUL", "CJK"},
    "ru": {"CYRILLIC"},
    "zh": {"CJK"},
}
_LATIN = {"LATIN"}


def find_damage(
    answer: Answer, *, language: str, stop_reason: str | None, unparseable: bool
) -> str | None:
    """The damage of an answer that failed a check; None means wrong content."""
    if not answer.text:
        return "TRUNCATED" if stop_reason == "length" else "EMPTY"
    if is_looping(answer.text):
        return "LOOPING"
    if stop_reason == "length":
        return "TRUNCATED"
    if is_wrong_script(answer.text, language):
        return "WRONG_LANGUAGE"
    return "UNPARSEABLE" if unparseable else None


def is_looping(text: str) -> bool:
    """Whether the text ends in many copies of one unit, the last perhaps cut."""
    tail = text[-MAX_UNIT_CHARS * (MIN_REPEATS + 1) :]
    for unit in range(1, min(MAX_UNIT_CHARS, len(tail) // MIN_REPEATS) + 1):
        span = max(MIN_LOOP_CHARS, unit * MIN_REPEATS)
        if len(tail) >= span and tail[-span:-unit] == tail[-span + unit :]:
            return True
    return False


def is_wrong_script(text: str, language: str) -> bool:
    """Whether most letters are of a script that the language is not written in.

    Only scripts are told apart: English in place of German is wrong content.
    """
    allowed = _SCRIPTS.get(language, _LATIN)
    letters = foreign = 0
    for char in text:
        if char.isalpha():
            letters += 1
            foreign += unicodedata.name(char, "?").split()[0] not in allowed
    return letters >= MIN_LETTERS and 2 * foreign > letters
