"""Text from elsewhere, made fit to be stored or shown; and the word that was meant."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

_LIKENESS = 0.5
_MOST_LISTED = 12
"""Of the words that are known: a list of fifty helps nobody."""

_MOST_DIGITS = 18

# Unicode categories a terminal may act upon: control, format (bidi marks, zero-width
# and the like), surrogates, line and paragraph separators.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def whole_number(text: str | None) -> int | None:
    """The number that a text of digits stands for; None where it is none.

    Nor is one with more digits than any figure has: Python refuses to read thousands of
    them, and they may be anybody's.
    """
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    return int(text) if len(text) <= _MOST_DIGITS else None


def storable(value: str) -> str:
    """The text with stray surrogates replaced, so that it can be encoded as UTF-8.

    A pair that a server split over two stream events is joined again first.
    """
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def close_words(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The known words that look most like a word, whatever the case of its letters."""
    plain = {option.casefold(): option for option in reversed(list(known))}
    found = get_close_matches(word.casefold(), plain, n=most, cutoff=_LIKENESS)
    return [plain[option] for option in found]


def printable(text: str) -> str:
    """`text` on one line, with every character a terminal could act upon spelled out.

    Model answers, server messages and file names are not ours: an escape sequence in
    one must not move the cursor, hide a line or turn its reading direction.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_spell_out, text))


def file_stem(name: str) -> str:
    """A name as it may stand in the name of a file on any system."""
    return re.sub(r"[^A-Za-z0-9._=-]+", "-", name).strip(".-")[:100] or "unnamed"


def is_active(character: str) -> bool:
    """Whether a terminal could act upon a character instead of showing it.

    Or whether it is none at all, as U+FFFF: XML has no place for it.
    """
    return unicodedata.category(character) in _ACTIVE or _is_none(ord(character))


def _is_none(code: int) -> bool:
    """Whether Unicode says that this will never be a character."""
    return code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF


def _spell_out(character: str) -> str:
    if not is_active(character):
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def nearest(word: str, known: Iterable[str], *, list_all: bool = False) -> str:
    """What to offer for a word that is not known: the one that was meant, else all.

    `list_all` names all in either case.
    """
    options = list(known)
    close = close_words(word, options)
    meant = f"did you mean {close[0]}?" if close else ""
    if meant and not list_all:
        return meant
    more = len(options) - _MOST_LISTED
    listed = [*options[:_MOST_LISTED], *([f"{more} more"] if more > 0 else [])]
    return f"{meant} known are {', '.join(listed) or 'none'}".lstrip()
