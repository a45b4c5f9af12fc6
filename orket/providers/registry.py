"""Adapters by name: those that ship with Orket, and those of other packages.

Another package adds one by an entry point in the group `orket.providers` whose value
is a callable `(ServerOptions) -> Adapter`. A module is imported only when its adapter
is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from orket.errors import UsageError
from orket.providers.contract import Adapter, ServerOptions
from orket.text import nearest

GROUP = "orket.providers"

EMBEDDED = "embedded"
LLAMA_SERVER = "llama-server"
BUILT_IN = {
    EMBEDDED: "orket.providers.llamacpp.embedded:EmbeddedAdapter",
    LLAMA_SERVER: "orket.providers.llamacpp.server:LlamaServerAdapter",
    "ollama": "orket.providers.ollama.adapter:OllamaAdapter",
    "lmstudio": "orket.providers.lmstudio.adapter:LmStudioAdapter",
    "vllm": "orket.providers.vllm:VllmAdapter",
    "openai": "orket.providers.openai:OpenAiAdapter",
    "tgi": "orket.providers.tgi.adapter:TgiAdapter",
}

OTHER_WORDS = {
    "llama.cpp": LLAMA_SERVER,
    "llamacpp": LLAMA_SERVER,
    "llama-cpp": LLAMA_SERVER,
    "text-generation-inference": "tgi",
}
"""What people call a server -> the adapter that is meant."""

SETS_KV_CACHE = frozenset({EMBEDDED})
"""Adapters that can be told the type of a model's KV cache."""
SETS_CONTEXT = frozenset({EMBEDDED, "ollama", "lmstudio"})
"""Adapters that can be told the context of a model."""

DEFAULT_URLS = {
    "llama-server": "http://127.0.0.1:8080",
    "ollama": "http://127.0.0.1:11434",
    "lmstudio": "http://127.0.0.1:1234",
    "vllm": "http://127.0.0.1:8000",
    "openai": "http://127.0.0.1:8080",
    "tgi": "http://127.0.0.1:3000",
}
"""Where each server listens unless told otherwise."""


def provider_names() -> list[str]:
    """Every adapter that can be named, sorted."""
    return sorted({*BUILT_IN, *_third_party()})


def require_provider(name: str) -> None:
    """Raise UsageError for a name that no adapter has; nothing is imported."""
    if name not in BUILT_IN and name not in _third_party():
        raise _unknown(name)


def create_adapter(name: str, options: ServerOptions | None = None) -> Adapter:
    """The adapter of that name, not yet connected; with a command, to be started.

    Raises UsageError naming the known ones, or what is wrong with the options.
    """
    options = options or ServerOptions()
    if options.serve_cmd is None:
        return _find(name)(options)
    if name == EMBEDDED:
        raise UsageError(
            "the embedded engine is no server that a command starts",
            "name what the command serves: --provider llama-server, vllm, openai, ...",
        )
    from orket.providers.serving.adapter import serve

    return serve(name, _find(name), options)


def _find(name: str) -> Callable[[ServerOptions], Adapter]:
    target = BUILT_IN.get(name)
    if target is not None:
        module, _, attribute = target.partition(":")
        factory: Callable[[ServerOptions], Adapter] = getattr(
            importlib.import_module(module), attribute
        )
        return factory
    entry = _third_party().get(name)
    if entry is None:
        raise _unknown(name)
    try:
        loaded = entry.load()
    except Exception as error:
        raise UsageError(
            f"the provider {name!r} of the package {_package(entry)} cannot be "
            f"loaded: {type(error).__name__}: {error}",
            "repair or uninstall that package",
        ) from error
    if not callable(loaded):
        raise UsageError(
            f"the provider {name!r} of the package {_package(entry)} is not callable",
            f"its entry point {entry.value} must be a function of ServerOptions",
        )
    return loaded  # type: ignore[no-any-return]


def _unknown(name: str) -> UsageError:
    meant = OTHER_WORDS.get(name.casefold(), name)
    hint = nearest(meant, provider_names(), list_all=True)
    return UsageError(f"no provider {name!r}", hint)


def _third_party() -> dict[str, EntryPoint]:
    """Adapters of other packages; a built-in name cannot be taken over."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.value)
    return {entry.name: entry for entry in found if entry.name not in BUILT_IN}


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
