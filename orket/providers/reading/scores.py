"""Strict readers of what a server says of the likeliest tokens at each place.

Each dialect has a reader of its own; all give the same `Place`s, or raise
`NoScores` with the class of what is wrong. Nothing is filled in: a list that is
missing, malformed or shorter than asked is unknown, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orket.providers.reading import figures
from orket.text import whole_number

NO_LOGPROBS = "NO_LOGPROBS"
"""The server gives no log-probabilities: it has none, or leaves them out."""
BAD_LOGPROBS = "BAD_LOGPROBS"
"""What it gives is no list of log-probabilities: malformed, NaN, a sum above 1."""
TOO_FEW_LOGPROBS = "TOO_FEW_LOGPROBS"
"""A list is shorter than asked, or a place of the answer has none."""
OLD_LOGPROBS = "OLD_LOGPROBS"
"""Figures of another meaning: probabilities after sampling."""

NANO = 1_000_000_000
IMPOSSIBLE_NATS = -1000.0
"""Below this a server says `probability 0`: float32 itself ends at -104 nats."""
ABOVE_ONE_NATS = 1e-3
"""How far rounding may carry a log-probability above 0."""
MAX_MASS = 1.005
"""Servers normalise in float32: sums were up to 1.0006."""


class NoScores(Exception):  # noqa: N818
    """Why there are no usable lists: a class, and one line for a person."""

    def __init__(self, error_class: str, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message


@dataclass(frozen=True, slots=True)
class Token:
    """One token with its log-probability."""

    nnats: int | None
    """In 1e-9 nats; None where the server says that it is impossible."""
    id: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """One place of an answer: its own token, and the likeliest ones as they came."""

    token: Token
    top: tuple[Token, ...] = ()


def read_llamacpp(reply: Any, k: int) -> list[Place]:
    """`completion_probabilities` of llama.cpp's /completion. Raises NoScores."""
    entries = _entries(figures.mapping(reply).get("completion_probabilities"))
    if "probs" in figures.mapping(entries[0]):
        raise NoScores(OLD_LOGPROBS, "this build tells probabilities after sampling")
    return _unsampled([_read_entry(entry, k, by_id=True) for entry in entries], k)


def read_chat(choice: Any, k: int) -> list[Place]:
    """`logprobs.content` of one choice of an OpenAI-style chat. Raises NoScores."""
    said = figures.mapping(figures.mapping(choice).get("logprobs"))
    message = figures.mapping(figures.mapping(choice).get("message"))
    return read_tokens(said.get("content"), k, message.get("content"))


def read_tokens(value: Any, k: int, answer: Any = None) -> list[Place]:
    """A list of `{token, logprob, top_logprobs}`, one a place. Raises NoScores.

    Ids are taken where every token has one, as llama.cpp adds them; else the texts.
    The places must make up the text of the answer, where that is known.
    """
    entries = _entries(value)
    spelled = "".join(map(_spelling, entries))
    if isinstance(answer, str) and len(spelled) < len(answer.strip()):
        raise NoScores(TOO_FEW_LOGPROBS, "the places end before the answer does")
    said = [figures.mapping(entry) for entry in entries]
    tokens = [
        figures.mapping(token)
        for entry in said
        for token in (entry, *figures.sequence(entry.get("top_logprobs")))
    ]
    by_id = all(figures.count(token.get("id")) is not None for token in tokens)
    return _unsampled([_read_entry(entry, k, by_id) for entry in entries], k)


def read_prompt(value: Any, path: Sequence[int], k: int) -> list[Place]:
    """vLLM's `prompt_logprobs` over prompt and path: the places of the path.

    An entry maps the id to `{logprob, rank}`; the first of the prompt is null. The
    token that stands there is told beside the k likeliest where it is none of them.
    Raises NoScores.
    """
    entries = _entries(value)
    if len(entries) <= len(path):
        raise NoScores(
            TOO_FEW_LOGPROBS, f"{len(entries)} entries for a path of {len(path)} tokens"
        )
    ranked = [
        _read_ranked(figures.mapping(entry), token, k)
        for entry, token in zip(entries[-len(path) :], path, strict=True)
    ]
    return _unsampled(ranked, k)


def read_prefill(value: Any, path: Sequence[int]) -> list[Place]:
    """TGI's `details.prefill`: the own log-probability of each token of the path.

    Raises NoScores, also where the server read other tokens than the path's.
    """
    entries = _entries(value)[-len(path) :]
    if len(entries) < len(path):
        raise NoScores(TOO_FEW_LOGPROBS, "the input is told only in part")
    places = [_read_entry(entry, 0, by_id=True) for entry in entries]
    if [place.token.id for place in places] != list(path):
        raise NoScores("PATH_BROKEN", "the server read other tokens than the path's")
    return places


def score_columns(places: Sequence[Place]) -> dict[str, Any]:
    """The places as columns of `ScoreFacts`: ids where they are told, else texts."""
    by_id = all(place.token.id is not None for place in places)
    tops = [place.top for place in places]
    # What the server calls impossible is on no list: it has no number to compare.
    listed = [[token for token in top if token.nnats is not None] for top in tops]
    columns: dict[str, Any] = {"path_nnats": [place.token.nnats for place in places]}
    kind = "id" if by_id else "text"
    columns[f"path_{kind}s"] = [getattr(place.token, kind) for place in places]
    if all(tops):
        columns["top_nnats"] = [[token.nnats for token in top] for top in listed]
        columns[f"top_{kind}s"] = [
            [getattr(token, kind) for token in top] for top in listed
        ]
    return columns


def _unsampled(places: list[Place], k: int) -> list[Place]:
    """The places, where they are the model's own. Raises NoScores.

    A sampler that picks the likeliest token leaves nothing to the others: all of the
    probability on one token, at every place, is its doing and no model's.
    """
    if k > 1 and all(_is_certain(place) for place in places):
        raise NoScores(
            OLD_LOGPROBS, "the server tells probabilities after sampling: 1 or 0"
        )
    return places


def _is_certain(place: Place) -> bool:
    possible = [token for token in place.top if token.nnats is not None]
    return len(place.top) > 1 and len(possible) == 1


def _entries(value: Any) -> list[Any]:
    """A list with something in it. Raises NoScores where the server gave none."""
    if value is None or value == []:
        raise NoScores(NO_LOGPROBS, "the server gives no log-probabilities")
    if not isinstance(value, list):
        raise NoScores(BAD_LOGPROBS, "the log-probabilities are not a list")
    return value


def _read_entry(entry: Any, k: int, by_id: bool) -> Place:
    said = figures.mapping(entry)
    token = _read_token(said, by_id)
    if k == 0:
        return Place(token)
    listed = said.get("top_logprobs")
    if not isinstance(listed, list):
        raise NoScores(
            TOO_FEW_LOGPROBS, "a place tells its own token only, no likeliest ones"
        )
    top = [_read_token(figures.mapping(item), by_id) for item in listed]
    return Place(token, _checked(top, k))


def _read_ranked(entry: Any, path_token: int, k: int) -> Place:
    found: dict[int, tuple[int, Token]] = {}
    for key, said in entry.items():
        number = whole_number(key)
        rank = figures.count(figures.mapping(said).get("rank"))
        if number is None or rank is None:
            raise NoScores(BAD_LOGPROBS, f"an entry has no id and rank: {key[:40]!r}")
        nnats = _nnats(figures.mapping(said).get("logprob"))
        found[number] = (rank, Token(nnats, number))
    if path_token not in found:
        raise NoScores(TOO_FEW_LOGPROBS, f"token {path_token} of the path is not told")
    ranked = sorted(found.values(), key=lambda pair: (pair[0], pair[1].id))
    top = [token for rank, token in ranked if rank <= k]
    return Place(found[path_token][1], _checked(top, k))


def _read_token(said: Any, by_id: bool) -> Token:
    number = figures.count(said.get("id"))
    if by_id and number is None:
        raise NoScores(BAD_LOGPROBS, "a token has no id")
    if by_id:
        return Token(_nnats(said.get("logprob")), number)
    return Token(_nnats(said.get("logprob")), text=_text(said))


def _text(said: Any) -> str:
    """What tells a token from others: its text, or its bytes where they are no text."""
    text = said.get("token")
    if not isinstance(text, str):
        raise NoScores(BAD_LOGPROBS, "a token has neither id nor text")
    raw = said.get("bytes")
    if isinstance(raw, list) and all(_is_byte(value) for value in raw):
        spelled = bytes(raw)
        if spelled != text.encode("utf-8", "surrogatepass"):
            return "".join(f"\\x{value:02x}" for value in spelled)
    return figures.text(text) or ""


def _spelling(entry: Any) -> str:
    text = figures.mapping(entry).get("token")
    return text if isinstance(text, str) else ""


def _is_byte(value: object) -> bool:
    return type(value) is int and 0 <= value < 256


def _nnats(value: Any) -> int | None:
    """A log-probability in 1e-9 nats; None where the server calls it impossible."""
    if type(value) is int:
        value = float(value) if abs(value) < 10**9 else None
    if type(value) is not float or math.isnan(value) or value > ABOVE_ONE_NATS:
        raise NoScores(BAD_LOGPROBS, f"{value!r} is no log-probability"[:120])
    return None if value < IMPOSSIBLE_NATS else round(value * NANO)


def _checked(top: Iterable[Token], k: int) -> tuple[Token, ...]:
    """The list where it is one: long enough, falling, no token twice, a sum up to 1."""
    tokens = tuple(top)
    if len(tokens) < k:
        raise NoScores(
            TOO_FEW_LOGPROBS, f"{len(tokens)} tokens at a place instead of {k}"
        )
    tokens = tokens[:k]
    known = [token.nnats for token in tokens if token.nnats is not None]
    if not known or any(token.nnats is None for token in tokens[: len(known)]):
        raise NoScores(BAD_LOGPROBS, "an impossible token stands before a possible one")
    if known != sorted(known, reverse=True):
        raise NoScores(BAD_LOGPROBS, "the likeliest tokens are not in falling order")
    ids = [token.id for token in tokens if token.id is not None]
    if len(set(ids)) < len(ids):
        raise NoScores(BAD_LOGPROBS, "a token stands twice in one list")
    mass = sum(math.exp(nnats / NANO) for nnats in known)
    if mass > MAX_MASS:
        raise NoScores(
            BAD_LOGPROBS, f"the probabilities of a place add up to {mass:.3f}"
        )
    return tokens
