"""One answer of LM Studio's REST v1: its events, its statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Generation
from orket.providers.http.transport import Transport
from orket.providers.reading.call import Call, Record
from orket.providers.reading.facts import Figures
from orket.providers.reading.figures import (
    count,
    mapping,
    nanoseconds_from_seconds,
    rate,
    raw_json,
    text,
)

TOOL_ITEMS = frozenset({"tool_call", "invalid_tool_call"})


class V1Call(Call):
    """One answer of `/api/v1/chat`: named events, the whole result in the last."""

    incomplete = "the stream ended without chat.end"

    def __init__(self, request: Generation, transport: Transport) -> None:
        super().__init__(request, transport)
        self.stats: Mapping[str, Any] = {}

    def read_record(self, record: Record, name: str | None) -> None:
        kind = text(record.get("type")) or name or ""
        if kind == "message.delta":
            self.say(record.get("content"))
        elif kind == "reasoning.delta":
            self.think(record.get("content"))
        elif kind == "chat.end":
            self._finish(mapping(record.get("result")))

    def read_document(self, document: Record) -> None:
        self._finish(document)

    def read_figures(self) -> Figures:
        return read_v1_stats(self.stats)

    def _finish(self, result: Record) -> None:
        self.final = True
        self.answer.model = text(result.get("model_instance_id"))
        self.stats = mapping(result.get("stats"))
        output = result.get("output")
        if isinstance(output, list) and not self.answer.tokens_seen:
            # A list without an item is an answer of nothing, an item without its
            # words is none.
            self.answer.readable |= not output
            self._read_output(output)

    def _read_output(self, items: list[Any]) -> None:
        for item in map(mapping, items):
            kind = text(item.get("type"))
            if kind in ("message", "reasoning") and "content" not in item:
                self.fail("PROTOCOL_ERROR", f"the output has a {kind} without content")
            elif kind == "message":
                self.say(item["content"])
            elif kind == "reasoning":
                self.think(item["content"])
            elif kind in TOOL_ITEMS:
                self.answer.called_tools = self.answer.readable = True
            else:
                self.fail("PROTOCOL_ERROR", "the output has an item of unknown kind")


def read_v1_stats(stats: Mapping[str, Any]) -> Figures:
    """The figures of REST v1: seconds and a rate.

    Prefill is the time to the first token. The decode time is worked out from the
    rate, (n - 1) / rate: the server tells no time of its own for it.
    """
    completion = count(stats.get("total_output_tokens"))
    speed = rate(stats.get("tokens_per_second"))
    decode_ns = None
    if speed is not None and completion is not None and completion > 1:
        decode_ns = nanoseconds_from_seconds((completion - 1) / speed)
    prefill_ns = nanoseconds_from_seconds(stats.get("time_to_first_token_seconds"))
    return Figures(
        formula_id="lmstudio.v1_stats.v1" if stats else None,
        raw_figures=raw_json(stats),
        prompt_tokens=count(stats.get("input_tokens")),
        completion_tokens=completion,
        reasoning_tokens=count(stats.get("reasoning_output_tokens")),
        prefill_ns=prefill_ns,
        decode_ns=decode_ns,
        load_ns=nanoseconds_from_seconds(stats.get("model_load_time_seconds")),
        decode_clock="first_token",
        prefill_kind=None if prefill_ns is None else "ttft_proxy",
    )
