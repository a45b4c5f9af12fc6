"""The protocol of llama.cpp's server, for every adapter that speaks to one.

The prompt goes through the chat route, so that the model's own template is applied,
and the same response carries `timings`: the prompt cache is asked off per request
and proven off by `timings.cache_n`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from orket.providers.contract import Generation, ModelRef, ServerLoad
from orket.providers.http.problems import IdentityMismatch
from orket.providers.http.transport import Transport
from orket.providers.reading import figures
from orket.providers.reading.chat import ask_chat, chat_payload, with_usage
from orket.quants import file_name, finer, quant_of_words, split_name
from orket.records import CallFacts, Controls

ENGINE = "llama.cpp"


@dataclass(frozen=True, slots=True)
class HeldModel:
    """The model a llama.cpp server says it holds."""

    names: tuple[str, ...] = ()
    """Every name it goes by: ids, aliases, path."""
    path: str | None = None
    ftype: str | None = None
    """The quant by the server's word, e.g. `Q4_K - Medium`."""
    context_tokens: int | None = None
    """Context of one slot, as it is after every adjustment."""
    parameters: int | None = None
    model_bytes: int | None = None
    build: str | None = None
    slots: int | None = None


class LlamaCppServer:
    """One llama.cpp server behind a transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def held_model(self) -> HeldModel:
        """What /v1/models and /props say.

        Raises ProviderError when the first is not there or access is denied: the list
        of models is public even where everything else needs a key.
        """
        models = self.transport.get("/v1/models")
        listed = self.transport.require(models, "asking for the model")
        props = self.transport.get("/props")
        if props.problem is not None and props.status in (401, 403):
            raise self.transport.error(props.problem, "asking for the model")
        return read_held_model(
            figures.mapping(listed), figures.mapping(props.json if props.ok else None)
        )

    def generate(self, request: Generation, stream: bool) -> CallFacts:
        """Make one model call through the chat route."""
        call = ask_chat(self.transport, request, build_payload(request, stream))
        return call.facts(replace(call.figures(), engine=ENGINE))

    def server_load(self) -> ServerLoad | None:
        """The counters of /metrics, else the slots; None when both are switched off."""
        reply = self.transport.get("/metrics", 5.0)
        if reply.ok:
            values = read_metrics(reply.text)
            return ServerLoad(
                values.get("requests_processing"), values.get("tokens_predicted_total")
            )
        slots = self.transport.get("/slots", 5.0)
        if not slots.ok or not isinstance(slots.json, list):
            return None
        busy = [
            figures.mapping(slot).get("is_processing") is True for slot in slots.json
        ]
        return ServerLoad(sum(busy), None)

    def echoed_controls(self, controls: Controls) -> Controls:
        """The controls as the server understood them, by a call of one token.

        The chat route does not echo them; the native one does, and reads them alike.
        """
        payload = {
            "prompt": "a",
            "n_predict": 1,
            "cache_prompt": False,
            **sampling(controls),
        }
        reply = self.transport.post("/completion", payload, 60.0)
        settings = figures.mapping(
            figures.mapping(reply.json if reply.ok else None).get("generation_settings")
        )
        return Controls(
            seed=_echoed_seed(controls.seed, settings.get("seed")),
            temperature_milli=_milli(settings.get("temperature")),
            thinking=self._thinking(controls.thinking),
        )

    def _thinking(self, asked: bool | None) -> bool | None:
        """The asked word, where the model's template has a switch for thinking."""
        if asked is None:
            return None
        prompts = set()
        for word in (True, False):
            payload = {
                "messages": [{"role": "user", "content": "a"}],
                "chat_template_kwargs": {"enable_thinking": word},
            }
            reply = self.transport.post("/apply-template", payload)
            prompts.add(figures.text(figures.mapping(reply.json).get("prompt")))
        return asked if len(prompts) == 2 and None not in prompts else None


def require_quant(model: ModelRef, held: HeldModel, where: str) -> None:
    """Refuse a quant that is known and another one. Raises IdentityMismatch.

    The server's own file type is evidence; where it tells none, its file's name is.
    """
    found = held_quant(held)
    if finer(model.quant_tag, found) is None:
        raise IdentityMismatch(
            f"{where} holds {found}, not {model.quant_tag}",
            "name the quant that it holds, or give the right file or server",
        )


def held_quant(held: HeldModel) -> str | None:
    """The quant by the server's file type, else by its file's name; None without."""
    found = quant_of_words(held.ftype)
    if found is None and held.path is not None:
        found = split_name(file_name(held.path))[1]
    return found


def require_name(model: ModelRef, held: HeldModel, where: str) -> None:
    """Refuse a server that goes by other names. Raises IdentityMismatch.

    An empty name asks for whatever is served; a part of the file's name will do.
    """
    asked = model.name.casefold()
    names = [name.casefold() for name in held.names]
    if not asked or not names or any(asked in name for name in names):
        return
    raise IdentityMismatch(
        f"{where} holds {held.names[0]}, not {model.name}",
        "name the model as the server does, or leave its name empty",
    )


def build_payload(request: Generation, stream: bool) -> dict[str, Any]:
    """The chat request, with llama.cpp's own switches."""
    payload = chat_payload(request, stream)
    if request.prompt_cache == "disabled":
        payload["cache_prompt"] = False
    if request.controls.thinking is not None:
        payload["chat_template_kwargs"] = {"enable_thinking": request.controls.thinking}
    return with_usage(payload) if stream else payload


def sampling(controls: Controls) -> dict[str, Any]:
    """The sampling controls that were asked for, by llama.cpp's names."""
    asked: dict[str, Any] = {}
    if controls.seed is not None:
        asked["seed"] = controls.seed
    if controls.temperature_milli is not None:
        asked["temperature"] = controls.temperature_milli / 1000
    return asked


def read_held_model(listed: Mapping[str, Any], props: Mapping[str, Any]) -> HeldModel:
    """The model in the answers of /v1/models and /props; None where neither says."""
    entries = [figures.mapping(entry) for entry in figures.sequence(listed.get("data"))]
    entry = entries[0] if entries else {}
    meta = figures.mapping(entry.get("meta"))
    path = figures.text(props.get("model_path"))
    names = [
        entry.get("id"),
        *figures.sequence(entry.get("aliases")),
        props.get("model_alias"),
        path,
    ]
    defaults = figures.mapping(props.get("default_generation_settings"))
    context = figures.count(defaults.get("n_ctx"))
    return HeldModel(
        names=tuple(dict.fromkeys(name for name in names if figures.text(name))),
        path=path,
        ftype=figures.text(props.get("model_ftype")) or figures.text(meta.get("ftype")),
        context_tokens=context or figures.count(meta.get("n_ctx")) or None,
        parameters=figures.count(meta.get("n_params")) or None,
        model_bytes=figures.size_bytes(meta.get("size")) or None,
        build=figures.text(props.get("build_info")),
        slots=figures.count(props.get("total_slots")),
    )


_METRIC = re.compile(r"^llamacpp:(\w+)(?:\{[^}]*\})? (\d+)(?:\.0*)?$", re.MULTILINE)


def read_metrics(exposition: str) -> dict[str, int]:
    """The whole-number metrics of a Prometheus text, by name without prefix."""
    return {name: int(value[:18]) for name, value in _METRIC.findall(exposition)}


def _echoed_seed(asked: int | None, echoed: object) -> int | None:
    """The seed in use; servers echo it as an unsigned number of 32 bits."""
    seed = figures.count(echoed)
    if seed is None or asked is None:
        return None
    return asked if seed == asked % 2**32 else seed


def _milli(value: object) -> int | None:
    if type(value) is float and 0 <= value < 1e6:
        return round(value * 1000)
    number = figures.count(value)
    return None if number is None else number * 1000
