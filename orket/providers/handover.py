"""How a measured quant is started by hand: the words for each kind of server.

Only what was recorded becomes a word. What is not known is said, and nothing takes its
place; a value that could be read as an option is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from orket.levels import kv_types
from orket.providers.serving.command import HOST, PORT
from orket.text import file_stem, is_active
from orket.urls import HIDDEN

ALL_LAYERS = "999"
"""More than any model has: every build of llama.cpp's takes it for all."""
FILE = "FILE"
"""Stands where a file has to, whose name is not recorded."""
_LLAMACPP = ("embedded", "llama-server")
_MODELFILE = {
    "context": "num_ctx",
    "batch": "num_batch",
    "threads": "num_thread",
    "temperature": "temperature",
    "seed": "seed",
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_KV_TYPE = re.compile(r"[a-z0-9_/]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Measured:
    """One quant as it was measured; None is what is not recorded."""

    provider: str
    model_id: str
    quant_tag: str
    name: str | None = None
    """What its server calls it."""
    file: str | None = None
    endpoint: str | None = None
    serve_command: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """Setting -> its value, where that is known; see `v1.quant_setting`."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """How to start it."""

    commands: list[list[str]] = field(default_factory=list)
    """Words of each line, to be run one after the other."""
    modelfile: str | None = None
    """What an Ollama Modelfile has to say, where settings differ from the tag's own."""
    used: frozenset[str] = frozenset()
    """Settings that the lines carry."""
    notes: tuple[str, ...] = ()
    """What is not in them, a sentence each, without its full stop."""


def hand_over(measured: Measured) -> HandOver:
    """The lines that start a quant as it was measured."""
    if measured.serve_command is not None:
        return _recorded(measured.serve_command)
    provider = measured.provider
    if provider in _LLAMACPP:
        return _llama_server(measured)
    if provider in _BY_NAME:
        refused = _unfit(measured.name)
        return HandOver(notes=(refused,)) if refused else _BY_NAME[provider](measured)
    return HandOver(notes=(_asked_only(measured),))


def _recorded(command: str) -> HandOver:
    """The command that Orket itself started, word by word."""
    try:
        words = shlex.split(command)
    except ValueError:
        return HandOver(notes=("the recorded command cannot be read",))
    notes = [
        f"put a {what} of yours in the place of {{{name}}}"
        for name, what in ((PORT, "port"), (HOST, "host"))
        if f"{{{name}}}" in command
    ]
    if HIDDEN in command:
        notes.append(f"a secret is not kept: put it in the place of {HIDDEN}")
    return HandOver(commands=[words], notes=tuple(notes), used=_KEPT)


_KEPT = frozenset({"context", "kv_cache", "threads", "batch", "gpu"})
"""Settings of a server: a recorded command says all that was said of them."""


def _llama_server(measured: Measured) -> HandOver:
    notes: tuple[str, ...] = ()
    if measured.file is None:
        where = f" (it answered at {measured.endpoint})" if measured.endpoint else ""
        notes = (
            f"which file it was is not recorded{where}: put the one of these weights "
            f"in the place of {FILE}",
        )
    elif refused := _unfit(measured.file):
        return HandOver(notes=(refused,))
    told = _Told(measured.settings)
    words = ["llama-server", "-m", measured.file or FILE]
    if context := told.number("context"):
        # Slots share the context: one has all of it.
        words += ["-c", context, "-np", "1"]
    if kv := told.kv():
        keys, values = kv_types(kv)
        words += ["-ctk", keys, "-ctv", values]
    if threads := told.number("threads"):
        words += ["-t", threads, "-tb", threads]
    if batch := told.number("batch"):
        words += ["-b", batch, "-ub", str(min(int(batch), 512))]
    if layers := told.layers("0", ALL_LAYERS):
        words += ["-ngl", layers]
    return HandOver(commands=[words], used=told.used, notes=notes)


def _ollama(measured: Measured) -> HandOver:
    assert measured.name is not None
    told = _Told(measured.settings)
    given = [
        f"PARAMETER {parameter} {value}"
        for setting, parameter in _MODELFILE.items()
        if (value := told.number(setting))
    ]
    if told.layers("0", None):
        given.append("PARAMETER num_gpu 0")
    if not given:
        return HandOver(commands=[["ollama", "run", measured.name]])
    own = file_stem(f"{measured.model_id}-{measured.quant_tag}").lower().strip("_=-")
    own = f"{own.replace('=', '-')}-measured"
    return HandOver(
        commands=[
            ["ollama", "create", own, "-f", "Modelfile"],
            ["ollama", "run", own],
        ],
        modelfile="\n".join([f"FROM {measured.name}", *given]) + "\n",
        used=told.used,
        notes=(f"the tag alone, with settings of its own: ollama run {measured.name}",),
    )


def _lmstudio(measured: Measured) -> HandOver:
    assert measured.name is not None
    told = _Told(measured.settings)
    words = ["lms", "load", measured.name]
    if context := told.number("context"):
        words += ["--context-length", context]
    if share := told.layers("off", "max"):
        words += ["--gpu", share]
    return HandOver(commands=[words], used=told.used)


def _vllm(measured: Measured) -> HandOver:
    assert measured.name is not None
    told = _Told(measured.settings)
    words = ["vllm", "serve", measured.name]
    if context := told.number("context"):
        words += ["--max-model-len", context]
    if (kv := told.kv()) and "/" not in kv:
        words += ["--kv-cache-dtype", kv]
    elsewhere = f" at {measured.endpoint}" if measured.endpoint else ""
    note = (
        f"it was served{elsewhere} by somebody else, whose other options are not "
        "recorded; the name may be one that they gave it"
    )
    return HandOver(commands=[words], used=told.used, notes=(note,))


_BY_NAME = {"ollama": _ollama, "lmstudio": _lmstudio, "vllm": _vllm}


def _asked_only(measured: Measured) -> str:
    where = f" at {measured.endpoint}" if measured.endpoint else ""
    name = f" by the name {measured.name}" if measured.name else ""
    return f"how its server was started is not recorded; it answered{where}{name}"


class _Told:
    """Settings that have a value, and which of them were made use of."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._used: set[str] = set()

    @property
    def used(self) -> frozenset[str]:
        return frozenset(self._used)

    def number(self, setting: str) -> str | None:
        return self._value(setting, _NUMBER)

    def kv(self) -> str | None:
        return self._value("kv_cache", _KV_TYPE)

    def layers(self, none: str, every: str | None) -> str | None:
        """The word for none or all of the layers on a GPU; None where it is neither."""
        placed = self._settings.get("gpu", "")
        word = {"none": none, "all": every}.get(placed)
        if word is not None:
            self._used.add("gpu")
        return word

    def _value(self, setting: str, pattern: re.Pattern[str]) -> str | None:
        value = self._settings.get(setting)
        if value is None or not pattern.fullmatch(value):
            return None
        self._used.add(setting)
        return value


def _unfit(value: str | None) -> str | None:
    """Why a name or a file cannot stand in a line; None where it can."""
    if not value:
        return "what its server calls it is not recorded"
    if value.startswith("-"):
        return f"it is called {value!r}, which a program would take for an option"
    if any(map(is_active, value)):
        return f"it is called {value!r}, which no line can carry safely"
    return None
