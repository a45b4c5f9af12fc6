"""Which server answers at a URL: asked by the routes that only it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orket.providers.contract import ServerOptions
from orket.providers.http.endpoint import Endpoint, read_endpoint, without_version
from orket.providers.http.problems import Problem
from orket.providers.http.transport import Reply, Transport
from orket.providers.reading.figures import mapping, sequence
from orket.providers.registry import DEFAULT_URLS

ASK_SECONDS = 3.0
"""A server that is there answers these questions at once."""
UNREACHABLE = frozenset(
    {"CONNECTION_REFUSED", "CONNECTION_FAILED", "CONNECTION_LOST", "TIMEOUT"}
)


@dataclass(frozen=True, slots=True)
class Found:
    """What answers at a URL."""

    url: str
    provider: str | None
    """None: something answers, but no model server that Orket knows."""


def recognise(options: ServerOptions) -> Found:
    """Find out which server answers. Raises ProviderError when none does."""
    endpoint = read_endpoint(
        without_version(options.url or ""), options.api_key_env, options.api_key_file
    )
    with Transport(endpoint, options.insecure, options.clock) as transport:
        first = transport.get("/v1/models", ASK_SECONDS)
        problem = first.problem
        if problem is not None and problem.error_class in (*UNREACHABLE, "TLS_ERROR"):
            raise transport.error(problem, "looking for a model server")
        return Found(endpoint.url, _name_server(transport, first))


def scan_default_ports() -> list[Found]:
    """Every server that answers where its kind listens by default."""
    found = []
    for url in sorted(set(DEFAULT_URLS.values())):
        answer = _scan(read_endpoint(url))
        if answer is not None:
            found.append(answer)
    return found


def _scan(endpoint: Endpoint) -> Found | None:
    with Transport(endpoint) as transport:
        first = transport.get("/v1/models", ASK_SECONDS)
        if _is_absent(first.problem):
            return None
        return Found(endpoint.url, _name_server(transport, first))


def _is_absent(problem: Problem | None) -> bool:
    return problem is not None and problem.error_class in UNREACHABLE


def _name_server(transport: Transport, models: Reply) -> str | None:
    for name, route, fits in _SIGNS:
        reply = models if route == "/v1/models" else transport.get(route, ASK_SECONDS)
        if reply.ok and fits(reply):
            return name
    return None


def _has(*keys: str) -> Callable[[Reply], bool]:
    return lambda reply: all(key in mapping(reply.json) for key in keys)


def _is_vllm(reply: Reply) -> bool:
    entries = map(mapping, sequence(mapping(reply.json).get("data")))
    return any(
        entry.get("owned_by") == "vllm" or "max_model_len" in entry for entry in entries
    )


def _is_list(reply: Reply) -> bool:
    return isinstance(mapping(reply.json).get("data"), list)


def _is_lmstudio(reply: Reply) -> bool:
    body = mapping(reply.json)
    entries = map(mapping, [*sequence(body.get("models")), *sequence(body.get("data"))])
    return any("key" in entry or "compatibility_type" in entry for entry in entries)


_SIGNS: tuple[tuple[str, str, Callable[[Reply], bool]], ...] = (
    ("llama-server", "/props", _has("default_generation_settings")),
    ("lmstudio", "/api/v1/models", _is_lmstudio),
    ("lmstudio", "/api/v0/models", _is_lmstudio),
    ("ollama", "/api/version", _has("version")),
    ("vllm", "/v1/models", _is_vllm),
    ("tgi", "/info", _has("model_id")),
    ("openai", "/v1/models", _is_list),
)
"""Provider, route, and what its answer has: the most telling first."""
