"""The faults that the mock server can inject, and when each one strikes."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from orket.errors import UsageError
from orket.text import whole_number

FAULTS: dict[str, str] = {
    "missing-counts": "the token counts are left out",
    "missing-prompt-count": "the prompt token count is left out",
    "missing-completion-count": "the completion token count is left out",
    "missing-timings": "the timings are left out",
    "partial-timings": "the decode timing is left out",
    "no-metadata": "counts and timings are left out",
    "zero-usage": "every count is 0 although there is text",
    "nan": "counts and timings are NaN",
    "negative": "counts and timings are -1",
    "huge": "counts and timings are 1e300",
    "string-numbers": "counts and timings are strings",
    "unknown-fields": "fields that no contract names",
    "zero-tokens": "the model answers nothing",
    "one-token": "the model answers one token",
    "invalid-utf8": "bytes in the answer that are not UTF-8",
    "long-line": "50 MB of answer on one line",
    "slow-drip": "the body arrives one byte at a time",
    "stream-error": "an error inside a stream that began with 200",
    "truncated-stream": "the stream ends without its final record",
    "cut": "the connection closes in the middle of the body",
    "reset": "the connection is reset before any answer",
    "not-json": "200 with a body that is not JSON",
    "http-401": "401 unauthorized",
    "http-404": "404 model not found",
    "http-429": "429 too many requests, Retry-After: 1",
    "http-500": "500 internal error",
    "http-503": "503 while the model is loading, Retry-After: 1",
    "redirect": "302 to another address",
    "html-error": "502 with a proxy's HTML page",
    "missing-logprobs": "the log-probabilities are left out",
    "few-logprobs": "half as many likeliest tokens as were asked for",
    "truncated-logprobs": "the places end in the middle of the answer",
    "nan-logprobs": "the log-probabilities are NaN",
    "distorted-logprobs": "probabilities that add up to more than 1",
    "sampled-logprobs": "probabilities after sampling: 1 for the token, 0 for others",
    "retokenised": "the last token of the answer is told as another one",
    "other-tokenizer": "the ids of a text are other ones",
    "no-token-grammar": "a grammar of token ids is refused",
    "grammar-ignored": "a grammar is taken and not followed",
    "context-shrunk": "the context is half of what was asked for",
    "other-model": "another model is resident beside the one asked for",
    "wrong-quant": "the model under that name is another quant",
}
"""Name and meaning of every fault."""

STATE_FAULTS = frozenset(
    {
        "context-shrunk",
        "grammar-ignored",
        "no-token-grammar",
        "other-model",
        "other-tokenizer",
        "wrong-quant",
    }
)
"""Faults of what the server holds or is able to do; they hold always, not per call."""

HTTP_STATUS = {
    "http-401": 401,
    "http-404": 404,
    "http-429": 429,
    "http-500": 500,
    "http-503": 503,
}

LONG_LINE_BYTES = 50 * 1024 * 1024
BAD_BYTES = b"\xff\xfe\xfa"
BAD_MARK = "\ue000"
"""Stands in an answer where `BAD_BYTES` are to go on the wire."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; it strikes every `every`-th call."""

    name: str
    every: int = 1
    everywhere: bool = False
    """On every route, not only where text is generated."""


def parse_fault(text: str) -> Fault:
    """Read `NAME[:every=N][:on=all|generate]`. Raises UsageError."""
    name, *parts = text.split(":")
    if name not in FAULTS:
        raise UsageError(
            f"unknown fault {name!r}", "see `orket mock-server --list-faults`"
        )
    every, everywhere = 1, False
    for part in parts:
        key, _, value = part.partition("=")
        number = whole_number(value)
        if key == "every" and number:
            every = number
        elif key == "on" and value in ("all", "generate"):
            everywhere = value == "all"
        else:
            raise UsageError(
                f"cannot read {part!r} in the fault {text!r}",
                "write NAME, NAME:every=3 or NAME:on=all",
            )
    return Fault(name, every, everywhere)


class FaultPlan:
    """Decides which faults strike the request at hand; counts are kept per fault."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = tuple(faults)
        self._calls: dict[Fault, int] = {}
        self._lock = threading.Lock()

    def holds(self, name: str) -> bool:
        """Whether the state fault `name` is switched on."""
        return any(fault.name == name for fault in self._faults)

    def strike(self, generates: bool, header: str | None) -> frozenset[str]:
        """Names of the faults for this request; a header names its own and no other."""
        if header is not None:
            names = [parse_fault(part.strip()).name for part in header.split(",")]
            return frozenset(names) - STATE_FAULTS
        struck = set()
        with self._lock:
            for fault in self._faults:
                if fault.name in STATE_FAULTS or not (generates or fault.everywhere):
                    continue
                calls = self._calls.get(fault, 0) + 1
                self._calls[fault] = calls
                if calls % fault.every == 0:
                    struck.add(fault.name)
        return frozenset(struck)


@dataclass(frozen=True, slots=True)
class FigureNames:
    """The keys under which a dialect reports its figures."""

    prompt_counts: frozenset[str]
    completion_counts: frozenset[str]
    other_counts: frozenset[str]
    prefill_timings: frozenset[str]
    decode_timings: frozenset[str]
    other_timings: frozenset[str] = frozenset()

    @property
    def counts(self) -> frozenset[str]:
        return self.prompt_counts | self.completion_counts | self.other_counts

    @property
    def timings(self) -> frozenset[str]:
        return self.prefill_timings | self.decode_timings | self.other_timings


def damage_figures(value: Any, faults: Iterable[str], names: FigureNames) -> Any:
    """`value` (a JSON document) with its counts and timings damaged by `faults`."""
    for fault in faults:
        value = _damage(value, fault, names)
    return value


def _damage(value: Any, fault: str, names: FigureNames) -> Any:
    dropped: frozenset[str] = {
        "missing-counts": names.counts,
        "missing-prompt-count": names.prompt_counts,
        "missing-completion-count": names.completion_counts,
        "missing-timings": names.timings,
        "partial-timings": names.decode_timings,
        "no-metadata": names.counts | names.timings,
    }.get(fault, frozenset())
    if isinstance(value, list):
        return [_damage(item, fault, names) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    touched = False
    for key, item in value.items():
        is_figure = key in names.counts or key in names.timings
        if key in dropped:
            continue
        if not is_figure or isinstance(item, dict):
            result[key] = _damage(item, fault, names)
            continue
        touched = True
        result[key] = _damaged_number(item, fault, key in names.counts)
    if touched and fault == "unknown-fields":
        result["x_unheard_of"] = {"nested": [1, 2.5, "three"], "n": 7}
    return result


def _damaged_number(item: Any, fault: str, is_count: bool) -> Any:
    if fault == "nan":
        return math.nan
    if fault == "negative":
        return -1
    if fault == "huge":
        return 1e300
    if fault == "string-numbers":
        return str(item)
    if fault == "zero-usage" and is_count:
        return 0
    return item
