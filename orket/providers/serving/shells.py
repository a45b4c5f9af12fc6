"""Words as one line of a shell that divides it into these words again, and no others.

Names are not ours: a file, a tag or a key may hold whatever a shell acts upon. Every
word is quoted, and what no line can carry safely is refused in place of being mended.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from orket.text import is_active

POSIX, POWERSHELL = "posix", "powershell"
SHELLS = (POSIX, POWERSHELL)

_BARE = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.:/\\=+-]*|-{1,2}[A-Za-z][A-Za-z0-9-]*", re.A
)
_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
"""Each of these ends a string of PowerShell's; a doubled one stands for itself."""


def shell_line(words: Iterable[str], shell: str) -> str | None:
    """The words as one line; None where no line can carry them safely.

    That is so for a character that a terminal acts upon, and in PowerShell for a double
    quote: its older versions pass that on unmarked, which makes other words of it.
    """
    given = list(words)
    if any(is_active(character) for word in given for character in word):
        return None
    if shell == POSIX:
        return " ".join(map(shlex.quote, given))
    if any('"' in word for word in given):
        return None
    quoted = [_quote_powershell(word) for word in given]
    # A quoted word is a text there, and no command, unless it is called.
    call = "& " if quoted and quoted[0].startswith("'") else ""
    return call + " ".join(quoted)


def _quote_powershell(word: str) -> str:
    if _BARE.fullmatch(word):
        return word
    return "'" + _QUOTES.sub(lambda found: found[0] * 2, word) + "'"
