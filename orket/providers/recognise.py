"""Which server answers at a URL: told by two signs that do not hang together.

One route proves little: emulations and gateways answer many that are not their own, and
a gateway passes on whole entries of a list. So two signs come from two places. What a
server says of itself, the owner of the models it lists, comes first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orket.providers.contract import ServerOptions
from orket.providers.http.endpoint import Endpoint, read_endpoint, without_version
from orket.providers.http.problems import Problem
from orket.providers.http.transport import Reply, Transport
from orket.providers.kinds import OWNERS, namespace, other_kind, owners_of
from orket.providers.reading.figures import mapping, sequence, text
from orket.providers.registry import DEFAULT_URLS

ASK_SECONDS = 3.0
"""A server that is there answers these questions at once."""
PLACES_NEEDED = 2
UNREACHABLE = frozenset(
    {"CONNECTION_REFUSED", "CONNECTION_FAILED", "CONNECTION_LOST", "TIMEOUT"}
)
DENIED = frozenset({"HTTP_401", "HTTP_403"})


@dataclass(frozen=True, slots=True)
class Found:
    """What answers at a URL."""

    url: str
    provider: str | None
    """None: something answers, but no model server that Orket knows."""
    kind: str | None = None
    """What it says it is, where that has no adapter of its own."""
    like: tuple[str, ...] = ()
    """Providers that it resembles, without proof."""

    @property
    def note(self) -> str | None:
        """What a person should know of the choice; None where it is plain."""
        named = " or ".join(f"--provider {name}" for name in self.like)
        if self.provider is None:
            hint = named or "--provider"
            return f"answers, but is no server that Orket knows: name it with {hint}"
        if self.kind is not None:
            return f"is {self.kind}: spoken to as --provider {self.provider}"
        if self.like and self.provider not in self.like:
            return (
                f"resembles {' and '.join(self.like)} in part: spoken to as --provider"
                f" {self.provider}; if it is one, name it with {named}"
            )
        return None


class Evidence:
    """A server's answers, each asked for once."""

    def __init__(self, transport: Transport, models: Reply) -> None:
        self._transport = transport
        self._asked = {"/v1/models": models}

    def ask(self, route: str) -> Reply:
        """The answer of a route."""
        if route not in self._asked:
            self._asked[route] = self._transport.get(route, ASK_SECONDS)
        return self._asked[route]

    def said(self, route: str) -> Mapping[str, Any]:
        """The object that a route answers; empty where it answers none."""
        reply = self.ask(route)
        return mapping(reply.json) if reply.ok else {}

    def entries(self) -> list[Mapping[str, Any]]:
        """The models that are listed."""
        return [mapping(e) for e in sequence(self.said("/v1/models").get("data"))]

    def is_owned(self, provider: str) -> bool:
        """Whether all models are owned as this provider's are: a gateway lists many."""
        owned = [owner for _, owner in owners_of(self.ask("/v1/models"))]
        return bool(owned) and all(OWNERS.get(owner) == provider for owner in owned)


def recognise(options: ServerOptions) -> Found:
    """Find out which server answers. Raises ProviderError when none does."""
    endpoint = read_endpoint(
        without_version(options.url or ""), options.api_key_env, options.api_key_file
    )
    with Transport(endpoint, options.insecure, options.clock) as transport:
        first = transport.get("/v1/models", ASK_SECONDS)
        problem = first.problem
        stops = (*UNREACHABLE, "TLS_ERROR", *DENIED)
        if problem is not None and problem.error_class in stops:
            raise transport.error(problem, "looking for a model server")
        return _weigh(transport, first)


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
        return _weigh(transport, first)


def _is_absent(problem: Problem | None) -> bool:
    return problem is not None and problem.error_class in UNREACHABLE


def _weigh(transport: Transport, models: Reply) -> Found:
    url = transport.endpoint.url
    evidence = Evidence(transport, models)
    plain = (
        "openai" if isinstance(evidence.said("/v1/models").get("data"), list) else None
    )
    if kind := other_kind(models):
        return Found(url, plain, kind)
    signs = {
        name: [any(holds(evidence) for holds in place) for place in places]
        for name, places in SIGNS.items()
    }
    for name, held in signs.items():
        if sum(held) >= PLACES_NEEDED and (held[0] or name not in OWNER_DECIDES):
            return Found(url, name)
    like = tuple(name for name, held in signs.items() if any(held))
    return Found(url, plain, like=like)


def _owned(provider: str) -> Callable[[Evidence], bool]:
    return lambda evidence: evidence.is_owned(provider)


def _has_llama_settings(evidence: Evidence) -> bool:
    settings = evidence.said("/props").get("default_generation_settings")
    return isinstance(settings, dict)


def _has_llama_build(evidence: Evidence) -> bool:
    build = text(evidence.said("/props").get("build_info")) or ""
    return re.match(r"b?\d+-[0-9a-f]|b\d+", build) is not None


def _has_llama_header(evidence: Evidence) -> bool:
    server = evidence.ask("/v1/models").headers.get("server", "")
    return server.lower().startswith("llama.cpp")


def _has_gguf_meta(evidence: Evidence) -> bool:
    """What llama.cpp adds to its entries, where no other owner is told."""
    entries = evidence.entries()
    metas = [mapping(e.get("meta")) for e in entries if e.get("owned_by") is None]
    return len(metas) == len(entries) and any(
        "n_params" in meta and "n_ctx_train" in meta for meta in metas
    )


def _lists_v1(evidence: Evidence) -> bool:
    rows = evidence.said("/api/v1/models").get("models")
    return _is_list_of(rows, "key", "loaded_instances")


def _lists_v0(evidence: Evidence) -> bool:
    rows = evidence.said("/api/v0/models").get("data")
    return _is_list_of(rows, "compatibility_type", "state")


def _is_list_of(rows: object, *keys: str) -> bool:
    """Whether this lists models with such keys; an empty list is one."""
    return isinstance(rows, list) and all(
        all(key in mapping(row) for key in keys) for row in rows
    )


def _is_ollama_owned(evidence: Evidence) -> bool:
    """Ollama's owner is the namespace of a model's name, `library` without one."""
    entries = evidence.entries()
    if not entries:
        reply = evidence.ask("/")
        return reply.ok and reply.text.strip() == "Ollama is running"
    return all(
        text(entry.get("owned_by"))
        in ("library", namespace(text(entry.get("id")) or "") or "library")
        for entry in entries
    )


def _has_ollama_version(evidence: Evidence) -> bool:
    """The version alone; before 0.1 there was no OpenAI-style route beside it."""
    said = evidence.said("/api/version")
    found = re.match(r"(\d+)\.(\d+)(\.\d+)?", text(said.get("version")) or "")
    if set(said) != {"version"} or found is None:
        return False
    return (int(found[1]), int(found[2])) >= (0, 1)


def _has_vllm_counters(evidence: Evidence) -> bool:
    reply = evidence.ask("/metrics")
    return reply.ok and "vllm:" in reply.text


def _has_plain_version(evidence: Evidence) -> bool:
    said = evidence.said("/version")
    found = re.match(r"\d+\.\d+", text(said.get("version")) or "")
    return set(said) == {"version"} and found is not None


def _has_tgi_info(evidence: Evidence) -> bool:
    info = evidence.said("/info")
    return "model_id" in info and "max_total_tokens" in info


def _lists_tgi_model(evidence: Evidence) -> bool:
    """Its one model owns itself; earlier versions have no list."""
    served = text(evidence.said("/info").get("model_id"))
    if evidence.ask("/v1/models").status in (404, 405):
        return served is not None
    owned = [(text(e.get("id")), text(e.get("owned_by"))) for e in evidence.entries()]
    return served is not None and owned == [(served, served)]


Sign = Callable[[Evidence], bool]
SIGNS: dict[str, tuple[tuple[Sign, ...], ...]] = {
    "llama-server": (
        (_owned("llama-server"), _has_gguf_meta),
        (_has_llama_settings, _has_llama_build),
        (_has_llama_header,),
    ),
    "lmstudio": ((_owned("lmstudio"),), (_lists_v1,), (_lists_v0,)),
    "ollama": ((_is_ollama_owned,), (_has_ollama_version,)),
    "vllm": (
        (_owned("vllm"),),
        (_has_vllm_counters,),
        (_has_plain_version,),
    ),
    "tgi": ((_has_tgi_info,), (_lists_tgi_model,)),
}
"""Provider -> the signs of it in each place, what it says of itself first.

Signs in one place are one: who has the one has the other.
"""
OWNER_DECIDES = frozenset({"ollama", "vllm"})
"""Providers whose routes are emulated so often that the first sign has to hold."""
