"""The honesty probe: does a server do what it is told, and say what it does?

Each question is asked by calls of a few tokens. An answer is `yes`, `no` or
`unknown`, always with the evidence it rests on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from orket.providers.contract import (
    Adapter,
    Generation,
    LoadedModel,
    ModelRef,
    ScoresPath,
    ServerInfo,
)
from orket.providers.http.problems import ProviderError
from orket.providers.http.transport import Transport
from orket.providers.reading.chat import chat_payload
from orket.quants import UNKNOWN_QUANT, canonical_tag
from orket.records import CallFacts, Controls, Policy, ScoreFacts

PPM = 1_000_000
YES, NO, UNKNOWN = "yes", "no", "unknown"
FEW_TOKENS = 8
SCORES = 20
"""Likeliest tokens asked for: the most that some servers give."""
CALL_SECONDS = 120.0
"""How long one call may take; after one that takes longer no other is made."""
CACHE_WORDS = 300
"""Words of the prompt that is sent twice: enough that finding it cached would show."""
WORD_TOKENS = 8
"""No tokenizer makes more of a word of the long prompts and the space before it."""
CACHED_FASTER = 3.0
"""A prefill this many times faster the second time was not done again."""
LONG_FACTOR = 2
"""Words per context token of a prompt that cannot fit."""
MAX_LONG_WORDS = 300_000
FALLBACK_CONTEXT_TOKENS = 131_072
"""Where the context is unknown."""
ODD_OPTION = "orket_no_such_option"


@dataclass(frozen=True, slots=True)
class Finding:
    """One question put to a server, and what came of it."""

    question: str
    answer: str
    evidence: str


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """All that was asked of one server."""

    info: ServerInfo
    model: ModelRef
    loaded: LoadedModel
    findings: tuple[Finding, ...]


def probe(
    adapter: Adapter,
    model: ModelRef,
    transport: Transport | None = None,
    call_seconds: float = CALL_SECONDS,
) -> ProbeReport:
    """Put every question to a server that holds `model`.

    `transport` reaches its OpenAI-style route, for the question no adapter can put.
    Raises ServerError or EngineError when the server cannot be used at all.
    """
    info = adapter.describe()
    controls = Controls(seed=7, temperature_milli=0)
    loaded = adapter.load(model, controls)
    session = _Session(adapter, loaded, controls, call_seconds)
    findings = [
        Finding("says which version it is", *_said(info.version)),
        Finding(
            "says which quant it loaded", *_said(canonical_tag(loaded.reported_quant))
        ),
        Finding("identifies the weights by a digest", *_said(loaded.digest)),
        *_ask_figures(session),
        _ask_cache(session),
        _ask_agreement(session),
        _ask_repeat(session),
        _ask_scores(session),
        _ask_seed(session),
        _ask_long_prompt(session),
        _ask_odd_option(session, transport),
        _ask_load(loaded),
    ]
    return ProbeReport(info, loaded.model, loaded, tuple(findings))


class _Session:
    """Calls with a few tokens to the probed model."""

    def __init__(
        self,
        adapter: Adapter,
        loaded: LoadedModel,
        controls: Controls,
        call_seconds: float,
    ) -> None:
        self._adapter = adapter
        self.loaded = loaded
        self.controls = controls
        self.call_seconds = call_seconds
        self.hung: CallFacts | None = None
        """The call that got no answer in time: a server that hangs is asked no more."""

    def request(self, prompt: str, **changes: object) -> Generation:
        """A call of a few tokens."""
        request = Generation(
            model=self.loaded.model,
            prompt=prompt,
            max_tokens=FEW_TOKENS,
            controls=self.controls,
            stream=False,
            timeout_seconds=self.call_seconds,
        )
        return replace(request, **changes)  # type: ignore[arg-type]

    def score(self, prompt: str) -> tuple[ScoreFacts, ScoreFacts] | None:
        """Such a call with its likeliest tokens, and a second one along the first."""
        if self.hung is not None or not isinstance(self._adapter, ScoresPath):
            return None
        request = self.request(prompt)
        answer = self._adapter.score_answer(request, SCORES)
        if answer.outcome != "OK":
            return answer, answer
        return answer, self._adapter.score_along(request, SCORES, answer)

    def ask(self, prompt: str, **changes: object) -> CallFacts:
        """Make such a call, unless one hung before."""
        if self.hung is not None:
            return self.hung
        facts = self._adapter.generate(self.request(prompt, **changes))
        if facts.outcome == "TIMEOUT":
            self.hung = facts
        return facts


def _ask_figures(session: _Session) -> Iterator[Finding]:
    """Which figures come with a whole and with a streamed answer."""
    for how, stream in (("whole", False), ("streamed", True)):
        facts = session.ask("Count from one to five.", stream=stream)
        if facts.outcome != "OK":
            yield Finding(f"answers ({how})", NO, _failure(facts))
            continue
        yield Finding(f"answers ({how})", YES, _shown(facts.answer_text))
        counts = (facts.prompt_tokens, facts.completion_tokens)
        yield Finding(
            f"reports token counts ({how})",
            NO if None in counts else YES,
            f"prompt {_count(counts[0])}, completion {_count(counts[1])}",
        )
        times = (facts.prefill_ns, facts.decode_ns)
        against = contradict(facts, Policy())
        yield Finding(
            f"reports its own times ({how})",
            NO if None in times or against else YES,
            f"prefill {_ms(times[0])}, decode {_ms(times[1])}, "
            f"read by {facts.formula_id or 'no formula'}"
            + (f"; {against}: they give no rate" if against else ""),
        )


def _count(tokens: int | None) -> str:
    """A count as people read it; one that was not said is no number."""
    return "unknown" if tokens is None else str(tokens)


def contradict(facts: CallFacts, policy: Policy) -> str | None:
    """How a server's times cannot be those of the call, by what the client saw of it.

    The bounds are those by which the views refuse a rate; None where none is broken.
    """
    wall_ns, ttft_ns = facts.wall_ns or None, facts.ttft_ns
    prefill_ns, decode_ns = facts.prefill_ns, facts.decode_ns
    if wall_ns is not None:
        slack_ns = max(policy.clock_slack_ns, wall_ns * policy.clock_slack_ppm // PPM)
        if (prefill_ns or 0) + (decode_ns or 0) > wall_ns + slack_ns:
            return f"but the whole call took {_ms(wall_ns)}"
        if prefill_ns and ttft_ns is not None and prefill_ns > ttft_ns + slack_ns:
            return f"but the first token came after {_ms(ttft_ns)}"
    if decode_ns is None or (facts.completion_tokens or 0) < 2:
        return None
    if ttft_ns is not None and facts.last_token_ns is not None:
        seen_ns = facts.last_token_ns - ttft_ns
        lag_ns = max(policy.decode_lag_ns, seen_ns * policy.decode_lag_ppm // PPM)
        if seen_ns - decode_ns > lag_ns:
            return f"but from first to last token it took {_ms(seen_ns)}"
    return None


def _ask_cache(session: _Session) -> Finding:
    """The same prompt twice: is it cached, and is that said?"""
    question = "leaves the prompt cache off, or says what it took from it"
    context = session.loaded.effective.context_tokens
    fitting = CACHE_WORDS if context is None else context // WORD_TOKENS
    prompt = _long_prompt(min(CACHE_WORDS, fitting))
    first, second = session.ask(prompt), session.ask(prompt)
    for facts in (first, second):
        if facts.outcome != "OK":
            return Finding(question, UNKNOWN, _failure(facts))
    if second.cached_prompt_tokens is not None:
        evidence = f"second call: {second.cached_prompt_tokens} tokens from the cache"
        return Finding(question, YES, evidence)
    if not first.prefill_ns or second.prefill_ns is None:
        return Finding(question, UNKNOWN, "neither cached tokens nor a prefill time")
    evidence = f"prefill {_ms(first.prefill_ns)}, then {_ms(second.prefill_ns)}"
    silent = second.prefill_ns * CACHED_FASTER < first.prefill_ns
    return Finding(
        question,
        NO if silent else UNKNOWN,
        f"{evidence}; no cached tokens are reported",
    )


def _ask_agreement(session: _Session) -> Finding:
    """The same call streamed and whole."""
    question = "agrees between streamed and whole answers"
    prompt = _fresh("Name three colours.")
    whole, streamed = session.ask(prompt), session.ask(prompt, stream=True)
    for facts in (whole, streamed):
        if facts.outcome != "OK":
            return Finding(question, UNKNOWN, _failure(facts))
    if whole.answer_text != streamed.answer_text:
        shown = f"{_shown(whole.answer_text)} and {_shown(streamed.answer_text)}"
        return Finding(question, NO, shown)
    counts = (whole.completion_tokens, streamed.completion_tokens)
    if None not in counts and counts[0] != counts[1]:
        return Finding(question, NO, f"{counts[0]} and {counts[1]} tokens")
    return Finding(question, YES, f"both said {_shown(whole.answer_text)}")


def _ask_repeat(session: _Session) -> Finding:
    """Temperature 0 and one seed, twice."""
    question = "repeats itself at temperature 0"
    prompt = _fresh("Write one sentence on rain.")
    return _compare_two(question, session.ask(prompt), session.ask(prompt))


def _ask_scores(session: _Session) -> Finding:
    """Whether it tells the likeliest tokens, and can be led along an answer."""
    question = "tells the likeliest tokens at each place of an answer"
    scored = session.score("Count from one to five.")
    if session.hung is not None:
        return Finding(question, UNKNOWN, _failure(session.hung))
    if scored is None:
        return Finding(question, NO, "its protocol has no log-probabilities")
    for facts in scored:
        if facts.outcome != "OK":
            said = NO if facts.outcome == "UNSUPPORTED" else UNKNOWN
            told = f"{facts.error_class}: {facts.error_message}"
            return Finding(question, said, told)
    answer, along = scored
    same = "the same lists" if along.top_nnats == answer.top_nnats else "other lists"
    return Finding(question, YES, f"{along.level} by {along.method}; twice: {same}")


def _ask_seed(session: _Session) -> Finding:
    """A hot temperature: one seed twice must agree, other seeds must not all."""
    question = "honours the seed"
    prompt = _fresh("Write ten random words.")

    def ask(seed: int) -> CallFacts:
        controls = Controls(seed=seed, temperature_milli=1500)
        return session.ask(prompt, controls=controls, max_tokens=4 * FEW_TOKENS)

    first, again, *others = [ask(seed) for seed in (11, 11, 12, 13, 14)]
    same = _compare_two(question, first, again)
    if same.answer != YES:
        return same
    failed = [facts for facts in others if facts.outcome != "OK"]
    if failed:
        return Finding(question, UNKNOWN, _failure(failed[0]))
    if all(facts.answer_text == first.answer_text for facts in others):
        return Finding(question, UNKNOWN, "every seed gives the same answer")
    return Finding(question, YES, "one seed repeats, other seeds differ")


def _ask_long_prompt(session: _Session) -> Finding:
    """A prompt that cannot fit: an error, or an answer to a part of it?"""
    question = "refuses a prompt that is too long"
    context = session.loaded.effective.context_tokens
    words = (context or FALLBACK_CONTEXT_TOKENS) * LONG_FACTOR
    if words > MAX_LONG_WORDS:
        return Finding(
            question, UNKNOWN, f"a context of {context} tokens is too long to try"
        )
    facts = session.ask(_long_prompt(words))
    if facts.error_class == "CONTEXT_EXCEEDED":
        return Finding(question, YES, _failure(facts))
    if facts.outcome != "OK":
        return Finding(question, UNKNOWN, _failure(facts))
    read = facts.prompt_tokens
    return Finding(
        question, NO, f"answered {words} words, read {_or_unknown(read)} tokens of them"
    )


def _ask_odd_option(session: _Session, transport: Transport | None) -> Finding:
    """An option that does not exist: an error, or silence?"""
    question = "rejects unknown options"
    if transport is None:
        return Finding(question, UNKNOWN, "no OpenAI-style route to ask")
    if session.hung is not None:
        return Finding(question, UNKNOWN, _failure(session.hung))
    payload = chat_payload(session.request(_fresh("Say yes.")), stream=False)
    route = "/v1/chat/completions"
    plain = transport.post(route, payload, session.call_seconds)
    if plain.problem is not None:
        return Finding(question, UNKNOWN, f"{route}: {plain.problem.message}")
    odd = transport.post(route, {**payload, ODD_OPTION: 1}, session.call_seconds)
    if odd.problem is None:
        return Finding(question, NO, f"{route} takes {ODD_OPTION} without a word")
    return Finding(question, YES, odd.problem.message)


def _ask_load(loaded: LoadedModel) -> Finding:
    question = "the time to load a model is known"
    if loaded.load_ns is None:
        return Finding(question, UNKNOWN, "it was resident already")
    return Finding(question, YES, _ms(loaded.load_ns))


def _compare_two(question: str, first: CallFacts, second: CallFacts) -> Finding:
    for facts in (first, second):
        if facts.outcome != "OK":
            return Finding(question, UNKNOWN, _failure(facts))
    if first.answer_text == second.answer_text:
        return Finding(question, YES, f"twice {_shown(first.answer_text)}")
    shown = f"{_shown(first.answer_text)}, then {_shown(second.answer_text)}"
    return Finding(question, NO, shown)


def _said(value: object) -> tuple[str, str]:
    return (NO, "not said") if value is None else (YES, str(value))


def _fresh(prompt: str) -> str:
    """The prompt behind words of its own, so that no cache knows its start."""
    return f"{uuid.uuid4().hex[:12]}. {prompt}"


def _long_prompt(words: int) -> str:
    return _fresh(" ".join(["word"] * words))


def _failure(facts: CallFacts) -> str:
    return f"{facts.error_class}: {facts.error_message}"


def _shown(text: str | None) -> str:
    plain = " ".join((text or "").split())
    return repr(plain if len(plain) <= 40 else plain[:39] + "…")


def _ms(duration_ns: int | None) -> str:
    return "unknown" if duration_ns is None else f"{duration_ns / 1e6:.1f} ms"


def _or_unknown(value: int | None) -> str:
    return "an unknown number of" if value is None else str(value)


def choose_model(found: list[ModelRef], name: str | None, where: str) -> ModelRef:
    """The model to probe: the one named, else the first installed.

    Raises ProviderError when there is none.
    """
    if name is not None:
        named = [ref for ref in found if ref.name == name]
        return named[0] if named else ModelRef(name, UNKNOWN_QUANT, name)
    found = [ref for ref in found if not ref.barred]
    if not found:
        raise ProviderError(
            f"no model is installed at {where}", "name one with --model"
        )
    return found[0]
