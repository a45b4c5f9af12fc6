"""Reads a server's Prometheus counters, and what one call added to them.

Where a server tells no times per request, the sums it exports do: the difference over
a call is that call's own, when the counters show that no other call ended in it.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from orket.providers.contract import ServerLoad
from orket.providers.http.transport import Transport
from orket.providers.reading.figures import count, reading

READ_TRIES = 5
READ_PAUSE_SECONDS = 0.02
"""The counters are written shortly after the last byte of the answer."""

_SAMPLE = re.compile(
    r"^(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?$"
)
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of an exposition."""

    name: str
    labels: dict[str, str]
    value: float


class Samples:
    """Everything a server exported at one moment."""

    def __init__(self, text: str) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for line in text.splitlines():
            sample = _read_sample(line)
            if sample is not None:
                self._by_name.setdefault(sample.name, []).append(sample)

    def total(self, name: str, **labels: str) -> float | None:
        """The sum over every series of that name with these labels; None without any.

        A counter may be exported with or without its ending `_total`.
        """
        found = self._by_name.get(name) or self._by_name.get(f"{name}_total") or []
        values = [
            sample.value
            for sample in found
            if all(sample.labels.get(key) == value for key, value in labels.items())
        ]
        try:
            return math.fsum(values) if values else None
        except OverflowError:
            return None


def read_samples(http: Transport) -> Samples | None:
    """What the server exports at /metrics; None where it exports nothing."""
    reply = http.get("/metrics")
    return Samples(reply.text) if reply.ok else None


def read_settled(http: Transport, settled: Callable[[Samples], bool]) -> Samples | None:
    """The counters once a call is written in them; None when it never is."""
    for attempt in range(READ_TRIES):
        if attempt:
            time.sleep(READ_PAUSE_SECONDS)
        samples = read_samples(http)
        if samples is None:
            return None
        if settled(samples):
            return samples
    return None


def grown(before: Samples, after: Samples, name: str, **labels: str) -> float | None:
    """What a counter grew by; None where it is not exported or went back."""
    old, new = before.total(name, **labels), after.total(name, **labels)
    if old is None or new is None or new < old:
        return None
    return new - old


def grown_count(
    before: Samples, after: Samples, name: str, **labels: str
) -> int | None:
    """The same of a counter of things."""
    value = grown(before, after, name, **labels)
    return None if value is None or value != int(value) else count(int(value))


def whole(value: float | None) -> int | None:
    """A gauge or counter of things; None for what no machine counts to."""
    return None if value is None or value != int(value) else reading(int(value))


def read_load(
    http: Transport, *, running: str, waiting: str, generated: str
) -> ServerLoad | None:
    """A server's traffic by the names of its gauges and its counter of tokens."""
    samples = read_samples(http)
    if samples is None:
        return None
    busy = whole(samples.total(running))
    if busy is not None:
        busy = reading(busy + (whole(samples.total(waiting)) or 0))
    return ServerLoad(
        requests_processing=busy, tokens_generated=whole(samples.total(generated))
    )


def _read_sample(line: str) -> Sample | None:
    found = _SAMPLE.match(line.strip())
    if found is None:
        return None
    try:
        value = float(found["value"])
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return Sample(found["name"], dict(_LABEL.findall(found["labels"] or "")), value)
