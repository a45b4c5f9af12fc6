"""What the pretended model would say instead: the likeliest tokens at each place.

Every quant thinks of the same tokens and wants its own answer most, then those of the
other quants of the profile, then made-up ones. The probabilities fall by a constant
factor, the slower the coarser the quant, so that every figure can be worked out by
hand: rank r of a quant has `(1 - d) * d^r`, with d from its file's bits per weight.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orket.mockserver.profile import MockModel, Profile
from orket.mockserver.tokens import split_tokens

ASSISTANT = "\n<|assistant|>\n"
"""Ends a templated prompt; a token of its own."""
EOS, EOS_ID, MARK_ID = "<eos>", 2, 3
FIRST_ID = 10
LONGEST_SPELLED = 5
"""Letters of seven bits: what a token of this model has, but for odd ones."""
FIRST_HASHED = 2**37
UNHEARD_RANK = 50
"""Rank of a token that the model does not think of."""


@dataclass(frozen=True, slots=True)
class Said:
    """One token as the model weighs it."""

    text: str
    id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Place:
    """One place of an answer: what stands there, and the likeliest tokens."""

    said: Said
    top: tuple[Said, ...]


@dataclass(slots=True)
class Vocabulary:
    """Tokens by id. An id spells a short ASCII text, so that every server knows it."""

    shift: int = 0
    """Another tokenizer: every id is another one."""
    _texts: dict[int, str] = field(default_factory=lambda: {EOS_ID: EOS})
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self, text: str) -> int:
        """The id of one token."""
        if text == EOS:
            return EOS_ID
        if text == ASSISTANT:
            return MARK_ID + self.shift
        if text.isascii() and len(text) <= LONGEST_SPELLED:
            spelled = 1
            for letter in text:
                spelled = spelled * 128 + ord(letter)
            return FIRST_ID + self.shift + spelled
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        number = FIRST_HASHED + self.shift + int.from_bytes(digest[:4])
        with self._lock:
            self._texts[number] = text
        return number

    def encode(self, text: str) -> list[int]:
        """The ids of a text; the end of a templated prompt is one token."""
        before, mark, after = text.partition(ASSISTANT)
        pieces = [
            *split_tokens(before),
            *([mark] if mark else []),
            *split_tokens(after),
        ]
        return [self.number(piece) for piece in pieces]

    def decode(self, ids: Sequence[Any]) -> list[str]:
        """The tokens of ids; one that is neither spelled nor told yet is `?`."""
        with self._lock:
            return [self._texts.get(number) or self._spell(number) for number in ids]

    def _spell(self, number: Any) -> str:
        if number == MARK_ID + self.shift:
            return ASSISTANT
        spelled = number - FIRST_ID - self.shift if type(number) is int else 0
        letters = ""
        while spelled > 1:
            spelled, code = divmod(spelled, 128)
            letters = chr(code) + letters
        return letters if spelled == 1 else "?"


def decay(model: MockModel) -> float:
    """By what factor the probabilities of a quant fall: the coarser, the slower."""
    return 0.2 + 2 * model.parameters / (8 * model.bytes)


def logprob_of(model: MockModel, rank: int) -> float:
    """The log-probability of a quant's token of that rank, 0 the likeliest."""
    d = decay(model)
    return math.log(1 - d) + rank * math.log(d)


def own_answer(profile: Profile, model: MockModel, prompt: str) -> list[str]:
    """The greedy answer of a quant, its end included."""
    return [*(split_tokens(profile.answer(prompt, model.quant)) or ["."]), EOS]


def weigh(
    profile: Profile,
    vocabulary: Vocabulary,
    model: MockModel,
    prompt: str,
    pieces: Sequence[str],
    k: int,
    start: int = 0,
) -> list[Place]:
    """The places of `pieces`, which stand in the answer from `start` on."""
    places = []
    for number, piece in enumerate(pieces, start):
        ranked = _ranked(profile, model, prompt, number, k)
        rank = ranked.index(piece) if piece in ranked else UNHEARD_RANK
        top = [
            Said(text, vocabulary.number(text), logprob_of(model, place))
            for place, text in enumerate(ranked[:k])
        ]
        said = Said(piece, vocabulary.number(piece), logprob_of(model, rank))
        places.append(Place(said, tuple(top)))
    return places


def damage_places(
    places: Sequence[Place], struck: frozenset[str], vocabulary: Vocabulary
) -> list[Place] | None:
    """The places as a faulty server tells them; None where it leaves them out."""
    found = list(places)
    if "missing-logprobs" in struck:
        return None
    if "truncated-logprobs" in struck:
        found = found[: len(found) // 2]
    if "few-logprobs" in struck:
        found = [
            replace(place, top=place.top[: len(place.top) // 2]) for place in found
        ]
    if "nan-logprobs" in struck:
        found = [_scaled(place, math.nan) for place in found]
    if "distorted-logprobs" in struck:
        found = [_scaled(place, 0.1) for place in found]
    if "sampled-logprobs" in struck:
        found = [_sampled(place) for place in found]
    if "retokenised" in struck and found:
        other = found[-1].said.text + "~"
        said = replace(found[-1].said, text=other, id=vocabulary.number(other))
        found[-1] = replace(found[-1], said=said)
    return found


def as_entry(place: Place, ids: bool) -> dict[str, Any]:
    """A place in the shape of an OpenAI chat, with ids where a server adds them."""
    return {
        **_as_token(place.said, ids),
        "top_logprobs": [_as_token(said, ids) for said in place.top],
    }


def _as_token(said: Said, ids: bool) -> dict[str, Any]:
    raw = list(said.text.encode("utf-8", "replace"))
    told = {"token": said.text, "bytes": raw, "logprob": said.logprob}
    return {"id": said.id, **told} if ids else told


def _ranked(
    profile: Profile, model: MockModel, prompt: str, place: int, k: int
) -> list[str]:
    wanted = [model, *(other for other in profile.models if other is not model)]
    ranked = []
    for quant in wanted:
        answer = own_answer(profile, quant, prompt)
        ranked.append(answer[place] if place < len(answer) else EOS)
    # Texts that no answer is made of, short enough to be spelled by their ids.
    ranked += [f"~{place % 10}{number}" for number in range(k)]
    return list(dict.fromkeys(ranked))


def _scaled(place: Place, factor: float) -> Place:
    def scaled(said: Said) -> Said:
        return replace(said, logprob=said.logprob * factor)

    return Place(scaled(place.said), tuple(map(scaled, place.top)))


def _sampled(place: Place) -> Place:
    """As after a sampler that keeps one token and leaves the others no chance."""
    kept = replace(place.said, logprob=0.0)
    others = [said for said in place.top if said.text != kept.text]
    lost = [replace(said, logprob=-9999.0) for said in others]
    return Place(kept, (kept, *lost)[: len(place.top)])
