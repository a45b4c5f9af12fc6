"""Text from elsewhere, made fit to be stored; and the word that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def storable(value: str) -> str:
    """The text with stray surrogates replaced, so that it can be encoded as UTF-8.

    A pair that a server split over two stream events is joined again first.
    """
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def nearest(word: str, known: Iterable[str]) -> str:
    """What to offer for a word that is not known."""
    options = list(known)
    close = get_close_matches(word, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known are " + ", ".join(options)
