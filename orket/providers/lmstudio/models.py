"""The models of an LM Studio server: listed, loaded, proven, unloaded."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from orket.providers.contract import ModelRef
from orket.providers.http.problems import ProviderError
from orket.providers.http.transport import Transport
from orket.providers.identity import same_name
from orket.providers.reading.figures import (
    count,
    mapping,
    nanoseconds_from_seconds,
    sequence,
    text,
)
from orket.records import Controls

LOAD_SECONDS = 600.0
UNLOAD_SECONDS = 30.0
POLL_SECONDS = 0.1
READY_ROUTE = "/v1/models"
LISTS = {"v1": "models", "v0": "data"}
"""REST version -> where its listing has the models."""

Row = Mapping[str, Any]


class LmStudioModels:
    """What one server holds, and what of it Orket loaded itself."""

    def __init__(self, http: Transport) -> None:
        self._http = http
        self._has: dict[str, bool] = {}
        self._owned: list[str] = []

    @property
    def server(self) -> str:
        """The server as an error names it."""
        return f"LM Studio at {self._http.endpoint.url}"

    @property
    def has_v1(self) -> bool:
        """Whether there is a REST v1. Raises ProviderError."""
        return self.has_route("v1")

    def has_route(self, version: str) -> bool:
        """Whether this REST version is there. Raises ProviderError when it is down."""
        if version not in self._has:
            reply = self._http.get(f"/api/{version}/models")
            if reply.status not in (404, 405, 501):
                self._http.require(reply, "listing LM Studio's models")
            self._has[version] = reply.ok
        return self._has[version]

    def offers(self, version: str) -> bool | None:
        """The same for a call that must not raise; None when it cannot be found out."""
        try:
            return self.has_route(version)
        except ProviderError:
            return None

    def list_rows(self) -> list[Row]:
        """Every installed model by the newest route. Raises ProviderError."""
        version = "v1" if self.has_v1 else "v0"
        reply = self._http.get(f"/api/{version}/models")
        body = mapping(self._http.require(reply, "listing LM Studio's models"))
        return [mapping(row) for row in sequence(body.get(LISTS[version]))]

    def find(self, model: ModelRef) -> Row:
        """The row of a model. Raises ProviderError with what to do."""
        for row in self.list_rows():
            names = [row.get(key) for key in ("key", "selected_variant", "id")]
            if any(same_name(model.name, name) for name in map(text, names) if name):
                return row
        raise ProviderError(
            f"{self.server} has no model {model.name}",
            f"fetch it with: lms get {model.name}",
            "MODEL_NOT_FOUND",
        )

    def find_config(self, model: ModelRef, instance: str) -> Row:
        """The configuration the instance really has; its presence is the proof."""
        for item in _instances(self.find(model)):
            if text(item.get("id")) == instance:
                return mapping(item.get("config"))
        raise ProviderError(
            f"{self.server} does not hold {model.name} after loading it",
            "look at LM Studio's log: there may be too little memory",
            "MODEL_NOT_RESIDENT",
        )

    def load(self, model: ModelRef, controls: Controls) -> tuple[str, int | None]:
        """Load a model: the instance's name, and how long it took."""
        config: dict[str, Any] = {}
        if controls.context_tokens is not None:
            config["context_length"] = controls.context_tokens
        if controls.batch_tokens is not None:
            config["eval_batch_size"] = controls.batch_tokens
        path = "/api/v1/models/load"
        asked = {"model": model.name, **config, "echo_load_config": True}
        reply = self._http.post_task(path, asked, LOAD_SECONDS, READY_ROUTE)
        if reply.status == 400:
            # The first documents of this route have the settings one level deeper.
            nested = {"model": model.name, "config": config}
            reply = self._http.post_task(path, nested, LOAD_SECONDS, READY_ROUTE)
        body = mapping(self._http.require(reply, f"loading {model.name}"))
        instance = text(body.get("instance_id")) or text(body.get("model_instance_id"))
        self._owned.append(instance or model.name)
        told = nanoseconds_from_seconds(body.get("load_time_seconds"))
        load_ns = told if told is not None else reply.timing.wall_ns
        return instance or model.name, load_ns

    def unload_owned(self, keep: Collection[str] = ()) -> None:
        """Unload what was loaded here, but for the instances to keep."""
        for instance in list(self._owned):
            if instance not in keep:
                self._unload(instance)
                self._owned.remove(instance)

    def unload_others(self, model: ModelRef) -> None:
        """Unload every instance of another model."""
        for row in self.list_rows():
            if not same_name(model.name, text(row.get("key")) or ""):
                for instance in instance_names(row):
                    self._unload(instance)

    def _unload(self, instance: str) -> None:
        """Unload and prove it gone. Raises ProviderError when it stays."""
        reply = self._http.ask(
            "POST", "/api/v1/models/unload", {"instance_id": instance}, UNLOAD_SECONDS
        )
        if reply.status != 404:
            self._http.require(reply, f"unloading {instance}")
        deadline = time.monotonic() + UNLOAD_SECONDS
        while instance in resident_names(self.list_rows()):
            if time.monotonic() > deadline:
                raise ProviderError(
                    f"{self.server} still holds {instance} {UNLOAD_SECONDS:.0f} s"
                    " after unloading it",
                    f"unload it with: lms unload {instance}",
                    "MODEL_STILL_RESIDENT",
                )
            time.sleep(POLL_SECONDS)


def fitting_instance(row: Row, controls: Controls) -> str | None:
    """An instance that is loaded as the controls ask, if there is one."""
    for item in _instances(row):
        config = mapping(item.get("config"))
        instance = text(item.get("id"))
        wanted = (
            (controls.context_tokens, config.get("context_length")),
            (controls.batch_tokens, config.get("eval_batch_size")),
        )
        if instance and all(ask in (None, has) for ask, has in wanted):
            return instance
    return None


def quant_of(row: Row) -> str | None:
    """The quant of a model, as either REST version tells it."""
    value = row.get("quantization")
    return text(value.get("name") if isinstance(value, dict) else value)


def resident_context(row: Row) -> int | None:
    """The context of the first loaded instance of a model; None without one."""
    for item in _instances(row):
        return count(mapping(item.get("config")).get("context_length"))
    return None


def instance_names(row: Row) -> list[str]:
    """The loaded instances of a model."""
    return [name for item in _instances(row) if (name := text(item.get("id")))]


def resident_names(rows: list[Row]) -> list[str]:
    """Loaded instances of v1, or loaded models of v0."""
    names = []
    for row in rows:
        names += instance_names(row)
        if row.get("state") == "loaded" and (name := text(row.get("id"))):
            names.append(name)
    return names


def _instances(row: Row) -> list[Row]:
    return [mapping(item) for item in sequence(row.get("loaded_instances"))]
