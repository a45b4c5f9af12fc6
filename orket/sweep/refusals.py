"""Prompts that did not fit a quant's context: no quant with as little is asked them.

The first refusal tells it of all: quants of one model count tokens alike. What is not
asked is a failed row all the same, with the reason, so that every quant has the same
tasks, and a resume knows them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orket.providers.http.problems import ProviderError
from orket.records import CallFacts

CONTEXT_EXCEEDED = "CONTEXT_EXCEEDED"
Refusal = tuple[str, str, str, int | None]
"""Model, quant, test, and the context of the quant in tokens; None: not told."""


class Refusals:
    """What was refused so far in a sweep."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[tuple[str, int | None]]] = {}
        self._fresh: dict[tuple[str, str, int | None], list[str]] = {}

    def take_up(self, refusals: Iterable[Refusal]) -> None:
        """Know what an earlier executor was refused."""
        for model, quant, test, tokens in refusals:
            self._found.setdefault((model, test), []).append((quant, tokens))

    def saw(self, facts: CallFacts, refusal: Refusal) -> None:
        """Learn from a call; one that was not refused for its length tells nothing."""
        if facts.outcome != "FAILED" or facts.error_class != CONTEXT_EXCEEDED:
            return
        model, quant, test, tokens = refusal
        if self.cause(model, test, tokens) is None:
            self._fresh.setdefault((model, quant, tokens), []).append(test)
        self.take_up([refusal])

    def cause(self, model: str, test: str, tokens: int | None) -> ProviderError | None:
        """Why a prompt is not asked a quant with such a context; None: it is asked.

        Where neither context was told they are taken for the same: the controls of a
        model are those of all its quants.
        """
        for quant, refused in self._found.get((model, test), ()):
            if (refused is None and tokens is None) or (
                refused is not None and tokens is not None and tokens <= refused
            ):
                return ProviderError(
                    f"not asked: the prompt does not fit {_context(quant, refused)}",
                    "give --context more tokens",
                    CONTEXT_EXCEEDED,
                )
        return None

    def tell(self, say: Callable[[str], None]) -> None:
        """Say what was refused since the last time, once for all quants."""
        for (_, quant, tokens), tests in self._fresh.items():
            more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
            which = _context(quant, tokens)
            say(
                f"the prompt of {tests[0]}{more} does not fit {which}: quants that "
                "have no more are not asked"
            )
        self._fresh.clear()


def _context(quant: str, tokens: int | None) -> str:
    if tokens is None:
        return f"the context of {quant}"
    return f"the context of {quant}, {tokens} tokens"
