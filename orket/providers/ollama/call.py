"""One call to Ollama: its options, its records, its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.providers.contract import (
    Generation,
)
from orket.providers.http.problems import (
    Problem,
    stream_problem,
)
from orket.providers.http.transport import Stream, Timing
from orket.providers.identity import (
    model_mismatch,
)
from orket.providers.ollama.eras import Era, read_figures
from orket.providers.reading.calls import (
    Answer,
    Figures,
    build_facts,
)
from orket.providers.reading.figures import mapping, text
from orket.records import CallFacts, Controls


class OllamaCall:
    """One answer as its records come in."""

    def __init__(
        self, request: Generation, era: Era, timing: Timing | None = None
    ) -> None:
        self.request = request
        self.era = era
        self.timing = timing or Timing()
        self.answer = Answer()
        self.final: Mapping[str, Any] | None = None
        self.problem: Problem | None = None
        self.http_status: int | None = None
        self.streamed = True
        self.notes: list[str] = []
        self._said_tokens = False

    def read(self, stream: Stream) -> None:
        """Read records up to the final one; what is wrong is told to the stream."""
        for event in stream:
            try:
                record = event.json()
            except ValueError:
                # What never was a record did not break off inside one.
                whole = event.complete or self.answer.model is None
                kind = "PROTOCOL_ERROR" if whole else "STREAM_INCOMPLETE"
                stream.fail(kind, "a line of the stream is not JSON")
                return
            failure = stream_problem(record, stream.status)
            if failure is not None:
                stream.set_problem(failure)
                return
            if not isinstance(record, dict):
                stream.fail("PROTOCOL_ERROR", "a line of the stream is no object")
                return
            first = not self._said_tokens
            said = self._say(record)
            if said:
                stream.mark_token(event)
            if record.get("done") is True:
                if said and first:
                    stream.streamed = False
                self._finish(record)
                if self.problem is not None:
                    stream.set_problem(self.problem)
                return
        if stream.problem is None:
            stream.fail("STREAM_INCOMPLETE", "the stream ended without a final record")

    def take(self, body: Any) -> None:
        """Take a whole answer."""
        failure = stream_problem(body, self.http_status)
        if failure is not None:
            self.problem = failure
        elif not isinstance(body, dict):
            self._fail("PROTOCOL_ERROR", "the answer is not JSON")
        elif body.get("done") is not True:
            self._fail("STREAM_INCOMPLETE", "the answer is not marked as done")
        else:
            self._say(body)
            self._finish(body)

    def facts(self) -> CallFacts:
        figures = Figures(formula_id=self.era.formula_id, engine=self.era.engine)
        if self.final is not None:
            figures = read_figures(self.final, self.era, not self._said_tokens)
        return build_facts(
            self.request,
            self.answer,
            figures,
            self.timing,
            self.problem,
            self.http_status,
            self.streamed,
            # There is no switch: where the prompt has no nonce, the cache is on.
            "nonce" if self.request.prompt_cache == "nonce" else "uncontrolled",
            self.notes,
        )

    def _say(self, record: Mapping[str, Any]) -> bool:
        """Keep what a record says; whether it carried a token."""
        message = mapping(record.get("message"))
        said = False
        for key, parts in (
            ("content", self.answer.parts),
            ("thinking", self.answer.reasoning),
        ):
            piece = message.get(key)
            if isinstance(piece, str) and piece:
                parts.append(piece)
                said = True
        said = said or bool(message.get("tool_calls"))
        self._said_tokens |= said
        self.answer.model = text(record.get("model")) or self.answer.model
        return said

    def _finish(self, record: Mapping[str, Any]) -> None:
        self.final = record
        self.answer.stop_reason = text(record.get("done_reason"))
        if self.answer.stop_reason in ("load", "unload"):
            self._fail("PROTOCOL_ERROR", "the server took the call for a load")
            return
        self.problem = model_mismatch(
            self.request.model.name, self.answer.model, self.http_status
        )

    def _fail(self, error_class: str, message: str) -> None:
        self.problem = Problem(error_class, message, self.http_status)


def runner_options(controls: Controls) -> dict[str, int]:
    """Options of the loaded runner: a call with others would load it anew."""
    options: dict[str, int] = {}
    if controls.context_tokens is not None:
        options["num_ctx"] = controls.context_tokens
    if controls.batch_tokens is not None:
        options["num_batch"] = controls.batch_tokens
    if controls.threads is not None and controls.threads.isdecimal():
        options["num_thread"] = int(controls.threads)
    return options


def sampling_options(controls: Controls) -> dict[str, int | float]:
    """Options of one call. Unknown names would be ignored in silence: no others."""
    options: dict[str, int | float] = {}
    if controls.seed is not None:
        options["seed"] = controls.seed
    if controls.temperature_milli is not None:
        options["temperature"] = controls.temperature_milli / 1000
    return options
