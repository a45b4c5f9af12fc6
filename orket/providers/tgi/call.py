"""One answer of TGI: its tokens, its details, its headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.reading.call import Call, Record
from orket.providers.reading.facts import Figures
from orket.providers.reading.figures import (
    count,
    mapping,
    nanoseconds_from_ms,
    raw_json,
    text,
)

STOP_REASONS = {"eos_token": "stop", "stop_sequence": "stop"}
FIGURE_HEADERS = (
    "x-prompt-tokens",
    "x-generated-tokens",
    "x-total-time",
    "x-validation-time",
    "x-queue-time",
    "x-inference-time",
    "x-time-per-token",
)


class TgiCall(Call):
    """One answer of `/generate`: the record with the whole text ends it."""

    incomplete = "the stream ended without its whole text"

    def __init__(self, request: Generation, transport: Transport) -> None:
        super().__init__(request, transport)
        self._details: Mapping[str, Any] = {}
        self._told: Mapping[str, str] = {}

    def unpack(self, body: Any) -> Any:
        return body[0] if isinstance(body, list) and len(body) == 1 else body

    def read_record(self, record: Record, name: str | None) -> None:
        token = mapping(record.get("token"))
        piece = token.get("text")
        if isinstance(piece, str) and token.get("special") is not True:
            self.answer.parts.append(piece)
        if "generated_text" in record and record["generated_text"] is not None:
            self._finish(record)

    def read_document(self, document: Record) -> None:
        # The headers of a stream come before it and tell no figures.
        self._told = self.headers
        self._finish(document)

    def read_figures(self) -> Figures:
        """Counts from the details, else from the headers of a whole answer."""
        headers = self._told
        prompt = count(self._details.get("input_length"))
        if prompt is None:
            prompt = _header_count(headers.get("x-prompt-tokens"))
        generated = count(self._details.get("generated_tokens"))
        if generated is None:
            generated = _header_count(headers.get("x-generated-tokens"))
        told = {key: value for key in FIGURE_HEADERS if (value := headers.get(key))}
        counts = {
            key: self._details.get(key) for key in ("input_length", "generated_tokens")
        }
        total_ms = _header_count(headers.get("x-total-time"))
        return Figures(
            formula_id="tgi.details.v1" if self._details or told else None,
            raw_figures=raw_json({**counts, **told}),
            prompt_tokens=prompt,
            completion_tokens=generated,
            server_total_ns=nanoseconds_from_ms(total_ms),
            decode_clock="first_token",
            engine="tgi",
        )

    def _finish(self, body: Record) -> None:
        self.final = True
        self._details = mapping(body.get("details"))
        reason = text(self._details.get("finish_reason"))
        self.answer.stop_reason = STOP_REASONS.get(reason or "", reason)
        if isinstance(body.get("generated_text"), str):
            # Single tokens may hold half a character; the whole text has it whole.
            self.answer.parts = [body["generated_text"]] * bool(body["generated_text"])
            self.answer.readable = True


def _header_count(value: str | None) -> int | None:
    if value is None or not re.fullmatch(r"\d{1,12}", value):
        return None
    return int(value)
