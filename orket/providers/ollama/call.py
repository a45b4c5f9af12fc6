"""One call to Ollama: its options, its records, its figures."""

from __future__ import annotations

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.identity import model_mismatch
from orket.providers.ollama.eras import Era, read_figures
from orket.providers.reading.call import Call, Record
from orket.providers.reading.facts import Figures
from orket.providers.reading.figures import text
from orket.records import Controls
from orket.text import whole_number


class OllamaCall(Call):
    """One answer of `/api/chat`: its figures stand in the record that is `done`."""

    def __init__(self, request: Generation, transport: Transport, era: Era) -> None:
        super().__init__(request, transport)
        self._era = era
        self._last: Record | None = None

    def read_record(self, record: Record, name: str | None) -> None:
        spoke = self.answer.tokens_seen
        self._read_message(record)
        if record.get("done") is True:
            # The whole answer in the last record: it was not streamed.
            self.streamed = bool(spoke) or not self.answer.tokens_seen
            self._finish(record)

    def read_document(self, document: Record) -> None:
        self._read_message(document)
        if document.get("done") is True:
            self._finish(document)
        else:
            self.fail("STREAM_INCOMPLETE", "the answer is not marked as done")

    def read_figures(self) -> Figures:
        if self._last is None:
            return Figures(formula_id=self._era.formula_id, engine=self._era.engine)
        empty = self.answer.readable and not self.answer.tokens_seen
        return read_figures(self._last, self._era, empty)

    def _read_message(self, record: Record) -> None:
        self.answer.model = text(record.get("model")) or self.answer.model
        message = record.get("message")
        if message is None:
            return
        if not isinstance(message, dict):
            self.fail("PROTOCOL_ERROR", "the message of a record is no object")
            return
        if message.get("tool_calls"):
            self.answer.called_tools = self.answer.readable = True
        if message.get("thinking"):
            self.think(message["thinking"])
        if "content" in message:
            self.say(message["content"])

    def _finish(self, record: Record) -> None:
        self.final, self._last = True, record
        self.answer.stop_reason = text(record.get("done_reason"))
        if self.answer.stop_reason in ("load", "unload"):
            self.fail("PROTOCOL_ERROR", "the server took the call for a load")
        found = model_mismatch(self.request.model.name, self.answer.model, self.status)
        if found is not None:
            self.fail(found.error_class, found.message)


def runner_options(controls: Controls) -> dict[str, int]:
    """Options of the loaded runner: a call with others would load it anew."""
    options: dict[str, int] = {}
    if controls.context_tokens is not None:
        options["num_ctx"] = controls.context_tokens
    if controls.batch_tokens is not None:
        options["num_batch"] = controls.batch_tokens
    threads = whole_number(controls.threads)
    if threads is not None:
        options["num_thread"] = threads
    return options


def sampling_options(controls: Controls) -> dict[str, int | float]:
    """Options of one call. Unknown names would be ignored in silence: no others."""
    options: dict[str, int | float] = {}
    if controls.seed is not None:
        options["seed"] = controls.seed
    if controls.temperature_milli is not None:
        options["temperature"] = controls.temperature_milli / 1000
    return options
