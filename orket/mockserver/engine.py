"""The pretended model: counts tokens, keeps a prompt cache, works out the times."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from orket.mockserver.faults import BAD_MARK, LONG_LINE_BYTES, FaultPlan
from orket.mockserver.profile import MockModel, Profile
from orket.mockserver.scores import EOS, Place, Vocabulary, damage_places, weigh
from orket.mockserver.tokens import split_tokens

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Work:
    """One generation, worked out in full before a byte of it is sent."""

    model: MockModel
    prompt_tokens: int
    cached_tokens: int
    reasoning: tuple[str, ...]
    pieces: tuple[str, ...]
    eos: bool
    """An end-of-sequence token closed the answer; it is generated, not shown."""
    started_ns: int
    load_ns: int
    latency_ns: int
    prefill_ns: int
    step_ns: int

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thought(self) -> str:
        return "".join(self.reasoning)

    @property
    def generated(self) -> int:
        """Tokens generated, reasoning and the end-of-sequence token included."""
        return len(self.reasoning) + len(self.pieces) + (1 if self.eos else 0)

    @property
    def new_tokens(self) -> int:
        return self.prompt_tokens - self.cached_tokens

    @property
    def decode_ns(self) -> int:
        """From the first token to the last."""
        return max(0, self.generated - 1) * self.step_ns

    @property
    def first_token_at(self) -> int:
        return self.started_ns + self.load_ns + self.latency_ns + self.prefill_ns

    @property
    def ended_at(self) -> int:
        return self.first_token_at + self.decode_ns

    @property
    def total_ns(self) -> int:
        return self.ended_at - self.started_ns

    @property
    def stop_reason(self) -> str:
        return "stop" if self.eos else "length"

    def deltas(self) -> Iterator[tuple[str, str, int]]:
        """(`reasoning` or `text`, piece, moment it is due) for every shown token."""
        due = self.first_token_at
        for piece in self.reasoning:
            yield "reasoning", piece, due
            due += self.step_ns
        for piece in self.pieces:
            yield "text", piece, due
            due += self.step_ns


class ContextExceeded(Exception):
    """The prompt is longer than the context."""

    def __init__(self, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(prompt_tokens, context_tokens)
        self.prompt_tokens = prompt_tokens
        self.context_tokens = context_tokens


@dataclass(slots=True)
class Totals:
    """What a server's counters would show; all times in nanoseconds."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    prefill_ns: int = 0
    decode_ns: int = 0
    decode_steps: int = 0
    running: int = 0


@dataclass(slots=True)
class Resident:
    """A model in memory."""

    model: MockModel
    context_tokens: int
    instance: str


@dataclass(slots=True)
class Engine:
    """All state of one mock server: resident models, prompt cache and counters."""

    profile: Profile
    faults: FaultPlan
    resident: dict[str, Resident] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    serial: int = 0
    _vocabulary: Vocabulary = field(default_factory=Vocabulary)
    _cache: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts one request as being worked on."""
        with self._lock:
            self.totals.running += 1
        try:
            yield
        finally:
            with self._lock:
                self.totals.running -= 1

    def next_serial(self) -> int:
        """Numbers the responses, so that identifiers differ and yet repeat."""
        with self._lock:
            self.serial += 1
            return self.serial

    def shown(self, model: MockModel) -> MockModel:
        """The model as the server describes it once it is loaded."""
        if self.faults.holds("wrong-quant"):
            quant = "Q2_K" if model.quant != "Q2_K" else "Q8_0"
            return replace(model, quant=quant, size_bytes=None)
        return model

    def load(self, model: MockModel, context_tokens: int | None = None) -> int:
        """Make `model` resident; nanoseconds it takes, 0 where it already is."""
        context = context_tokens or self.profile.context_tokens
        if self.faults.holds("context-shrunk"):
            context //= 2
        with self._lock:
            held = self.resident.get(model.name)
            if held is not None and context_tokens in (None, held.context_tokens):
                return 0
            if held is not None and held.context_tokens == context:
                return 0
            self.resident[model.name] = Resident(model, context, model.name)
        return round(self.profile.load_seconds * NS)

    def unload(self, name: str) -> bool:
        """Forget a resident model and what it cached."""
        with self._lock:
            self._cache = {k: v for k, v in self._cache.items() if k[0] != name}
            return self.resident.pop(name, None) is not None

    def generate(
        self,
        model: MockModel,
        prompt: str,
        *,
        max_tokens: int,
        shown_prompt: str | None = None,
        use_cache: bool = True,
        salt: str = "",
        think: bool = True,
        context_tokens: int | None = None,
        refuse_overlong: bool = True,
        template_tokens: int | None = None,
        scheduling_ns: int = 0,
        struck: frozenset[str] = frozenset(),
        pieces: Sequence[str] | None = None,
    ) -> Work:
        """Work out one generation. Raises ContextExceeded.

        `pieces` is what the model is made to say; an end token among them ends it.
        """
        started = time.monotonic_ns()
        load_ns = self.load(model, context_tokens)
        context = self.resident[model.name].context_tokens
        template = self.profile.template_tokens
        if template_tokens is not None:
            template = template_tokens
        tokens = ["<template>"] * template + split_tokens(prompt)
        if len(tokens) >= context:
            if refuse_overlong:
                raise ContextExceeded(len(tokens), context)
            tokens = tokens[-(context // 2) :]
        cached = self._look_up(model, tokens, salt) if use_cache else 0
        if pieces is None:
            answer = self._answer(model, shown_prompt or prompt, struck)
        else:
            answer = [piece for piece in pieces if piece != EOS]
        thought = split_tokens(self.profile.thinking) if think else []
        shown = (thought + answer)[:max_tokens] if max_tokens >= 0 else thought + answer
        eos = len(thought) + len(answer) < max_tokens or max_tokens < 0
        if pieces is not None:
            thought, shown, eos = [], answer[:max_tokens], EOS in pieces[:max_tokens]
        if struck & {"zero-tokens", "one-token"}:
            thought, eos = [], False
            shown = answer
        prefill_rate = model.prefill_rate or self.profile.prefill_rate
        decode_rate = model.decode_rate or self.profile.decode_rate
        work = Work(
            model=model,
            prompt_tokens=len(tokens),
            cached_tokens=cached,
            reasoning=tuple(shown[: len(thought)]),
            pieces=tuple(shown[len(thought) :]),
            eos=eos,
            started_ns=started,
            load_ns=load_ns + scheduling_ns,
            latency_ns=round(self.profile.latency_seconds * NS),
            prefill_ns=round((len(tokens) - cached) / prefill_rate * NS),
            step_ns=round(NS / decode_rate),
        )
        self._count(work)
        return work

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens; another tokenizer has other ids for them."""
        self._vocabulary.shift = 1 if self.faults.holds("other-tokenizer") else 0
        return self._vocabulary

    def weigh(
        self,
        model: MockModel,
        prompt: str,
        pieces: Sequence[str],
        k: int,
        struck: frozenset[str] = frozenset(),
        start: int = 0,
    ) -> list[Place] | None:
        """The places of an answer as the server tells them; None: left out."""
        words = self.vocabulary
        places = weigh(self.profile, words, model, prompt, pieces, k, start)
        return damage_places(places, struck, words)

    def _answer(
        self, model: MockModel, prompt: str, struck: frozenset[str]
    ) -> list[str]:
        if "zero-tokens" in struck:
            return []
        answer = split_tokens(self.profile.answer(prompt, model.quant)) or ["."]
        if "one-token" in struck:
            return answer[:1]
        if "long-line" in struck:
            return ["x" * LONG_LINE_BYTES]
        if "invalid-utf8" in struck:
            return [answer[0] + BAD_MARK, *answer[1:]]
        return answer

    def _look_up(self, model: MockModel, tokens: list[str], salt: str) -> int:
        """Length of the prefix shared with the last prompt; one token is always new."""
        if not self.profile.prompt_cache:
            return 0
        with self._lock:
            before = self._cache.get((model.name, salt), [])
            self._cache[model.name, salt] = tokens
        shared = 0
        for old, new in zip(before, tokens, strict=False):
            if old != new:
                break
            shared += 1
        return min(shared, len(tokens) - 1)

    def _count(self, work: Work) -> None:
        with self._lock:
            totals = self.totals
            totals.requests += 1
            totals.prompt_tokens += work.prompt_tokens
            totals.cached_tokens += work.cached_tokens
            totals.generated_tokens += work.generated
            totals.prefill_ns += work.prefill_ns
            totals.decode_ns += work.decode_ns
            totals.decode_steps += max(0, work.generated - 1)
