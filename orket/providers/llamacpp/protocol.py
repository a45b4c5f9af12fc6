"""The protocol of llama.cpp's server, for every adapter that speaks to one.

The prompt goes through the chat route, so that the model's own template is applied,
and the same response carries `timings`: the prompt cache is asked off per request
and proven off by `timings.cache_n`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from orket.providers.contract import Generation, ModelRef, ServerLoad
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.providers.http.transport import Transport
from orket.providers.identity import model_mismatch
from orket.providers.llamacpp.path import PathScorer
from orket.providers.reading import figures
from orket.providers.reading.chat import ask_chat, chat_payload, with_usage
from orket.quants import file_name, finer, quant_of_words, split_name
from orket.records import CallFacts, Controls

ECHO_SECONDS = 60.0
"""How long the call of one token may take that shows how controls are read."""
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
    router: Router | None = None
    """The router that holds it among others; None for a server of one model."""


@dataclass(frozen=True, slots=True)
class Router:
    """A llama-server that passes calls on to one server a model."""

    names: tuple[str, ...]
    """Every model it knows of."""
    loaded: tuple[str, ...]
    """Those that answer without being loaded first."""


class LlamaCppServer:
    """One llama.cpp server behind a transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.path = PathScorer(transport)

    def held_model(self, name: str | None = None) -> HeldModel:
        """What /v1/models and /props say of the model of that name.

        Without a name, a router tells of the first model it has loaded, and of none
        where it has none. Raises ProviderError when there is no list or access is
        denied (the list of models is public even where everything else needs a key),
        and for a model that a router does not know or has not loaded.
        """
        models = self.transport.get("/v1/models")
        listed = self.transport.require(models, "asking for the model")
        props = self.transport.get("/props")
        if props.problem is not None and props.status in (401, 403):
            raise self.transport.error(props.problem, "asking for the model")
        said = figures.mapping(props.json if props.ok else None)
        entries = list_entries(listed)
        router = read_router(entries, said)
        if router is None:
            return read_held_model(entries[0] if entries else {}, said)
        return self._routed_model(name, entries, said, router)

    def _routed_model(
        self,
        name: str | None,
        entries: list[Mapping[str, Any]],
        said: Mapping[str, Any],
        router: Router,
    ) -> HeldModel:
        build = figures.text(said.get("build_info"))
        if name is None:
            loaded = [entry for entry in entries if entry.get("id") in router.loaded]
            if not loaded:
                return HeldModel(build=build, router=router)
            entry = loaded[0]
        else:
            where = f"the router at {self.transport.endpoint.url}"
            entry = pick_routed(name, entries, router, where)
        query = urlencode({"model": entry["id"], "autoload": "false"})
        reply = self.transport.get(f"/props?{query}")
        own = figures.mapping(reply.json if reply.ok else None)
        if own.get("role") == "router":
            own = {}
        path = entry.get("path") or entry.get("id")
        held = read_held_model(entry, {"model_path": path, **own})
        return replace(held, build=held.build or build, router=router)

    def generate(
        self, request: Generation, stream: bool, routed: bool = False
    ) -> CallFacts:
        """Make one model call through the chat route.

        Where it is `routed`, an answer by another model is none; a server of one model
        may call it as it likes.
        """
        call = ask_chat(self.transport, request, build_payload(request, stream))
        wrong = model_mismatch(request.model.name, call.answer.model, call.status)
        if routed and wrong is not None:
            call.fail(wrong.error_class, wrong.message)
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
        reply = self.transport.ask("POST", "/completion", payload, ECHO_SECONDS)
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


def list_entries(listed: object) -> list[Mapping[str, Any]]:
    """The models in an answer of /v1/models."""
    entries = figures.sequence(figures.mapping(listed).get("data"))
    return [figures.mapping(entry) for entry in entries]


def read_router(
    entries: Iterable[Mapping[str, Any]], props: Mapping[str, Any]
) -> Router | None:
    """The models behind a router; None for a server that holds one itself."""
    rows = [
        (name, figures.text(figures.mapping(entry.get("status")).get("value")))
        for entry in entries
        if (name := figures.text(entry.get("id"))) is not None
    ]
    several = len(rows) > 1 and any(status for _, status in rows)
    if props.get("role") != "router" and not several:
        return None
    return Router(
        tuple(name for name, _ in rows),
        tuple(name for name, status in rows if status == "loaded"),
    )


def pick_routed(
    name: str, entries: Iterable[Mapping[str, Any]], router: Router, where: str
) -> Mapping[str, Any]:
    """The entry of the model asked for, by its name, alias or a part of them.

    Raises ProviderError: unknown, not clear which, or not loaded.
    """
    found = _called(name, list(entries))
    if not name:
        found = [entry for entry in found if entry.get("id") in router.loaded]
    if len(found) != 1:
        known = ", ".join(router.names) or "no models"
        which = f"{name!r} is not one of" if name else "which is meant is not clear of"
        if name and found:
            which = f"{name!r} may be any of"
            known = ", ".join(str(entry.get("id")) for entry in found)
        raise IdentityMismatch(
            f"{where} holds several models: {which} {known}",
            "name one of them in the preset, or start one llama-server for each model",
        )
    (entry,) = found
    if entry.get("id") not in router.loaded:
        status = figures.text(figures.mapping(entry.get("status")).get("value"))
        raise ProviderError(
            f"{where} has not loaded {entry.get('id')} ({status or 'status unknown'})",
            "load it there first, or start one llama-server for each model",
            "MODEL_NOT_RESIDENT",
        )
    return entry


def _called(name: str, entries: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The entries of that name: to the letter, else in any case, else as a part."""
    asked = name.casefold()
    plain = [(entry, [n.casefold() for n in _names_of(entry)]) for entry in entries]
    return (
        [entry for entry in entries if name in _names_of(entry)]
        or [entry for entry, names in plain if asked in names]
        or [entry for entry, names in plain if any(asked in n for n in names)]
    )


def _names_of(entry: Mapping[str, Any]) -> list[str]:
    told = [entry.get("id"), *figures.sequence(entry.get("aliases"))]
    return [name for name in map(figures.text, told) if name is not None]


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


def read_held_model(entry: Mapping[str, Any], props: Mapping[str, Any]) -> HeldModel:
    """The model in its entry of /v1/models and in /props; None where neither says."""
    meta = figures.mapping(entry.get("meta"))
    path = figures.text(props.get("model_path"))
    names = [*_names_of(entry), figures.text(props.get("model_alias")), path]
    defaults = figures.mapping(props.get("default_generation_settings"))
    context = figures.count(defaults.get("n_ctx"))
    return HeldModel(
        names=tuple(dict.fromkeys(name for name in names if name)),
        path=path,
        ftype=figures.text(props.get("model_ftype")) or figures.text(meta.get("ftype")),
        context_tokens=context or figures.count(meta.get("n_ctx")) or None,
        parameters=figures.count(meta.get("n_params")) or None,
        model_bytes=figures.size_bytes(meta.get("size")) or None,
        build=figures.text(props.get("build_info")),
        slots=figures.count(props.get("total_slots")),
    )


MAX_DIGITS = 18
_METRIC = re.compile(r"^llamacpp:(\w+)(?:\{[^}]*\})? (\d+)(?:\.0*)?$", re.MULTILINE)


def read_metrics(exposition: str) -> dict[str, int]:
    """The whole-number metrics of a Prometheus text, by name without prefix."""
    found = _METRIC.findall(exposition)
    # Beyond 18 digits no machine has counted: left out, and never read in part.
    return {name: int(value) for name, value in found if len(value) <= MAX_DIGITS}


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
