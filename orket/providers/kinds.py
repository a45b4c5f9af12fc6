"""What a server says that it is, in the owner of the models that it lists.

Many servers speak routes of another one: a gateway, an emulation, a fork. Who owns the
models is what they say of themselves, and weighs more than a route that answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orket.providers.http.problems import ProviderError
from orket.providers.http.transport import Reply, Transport
from orket.providers.reading.figures import mapping, sequence, text

OWNERS = {
    "llamacpp": "llama-server",
    "library": "ollama",
    "organizationowner": "lmstudio",
    "vllm": "vllm",
}
"""Owner as it is told -> the provider that it speaks for."""
OTHERS = {
    "koboldcpp": "KoboldCpp",
    "llamaswap": "llama-swap",
    "rkllama": "rkllama",
    "rkllm": "rkllama",
    "localai": "LocalAI",
    "llamabox": "llama-box",
    "litellm": "LiteLLM",
    "openrouter": "OpenRouter",
    "sglang": "SGLang",
    "pygmalionai": "Aphrodite",
    "lmdeploy": "LMDeploy",
    "tabbyapi": "TabbyAPI",
    "mlx": "an MLX server",
    "mlxlm": "mlx-lm",
    "gpustack": "GPUStack",
    "fastflowlm": "FastFlowLM",
    "lemonade": "Lemonade",
    "openai": "OpenAI or a gateway to it",
}
"""Owner as it is told -> a server without an adapter of its own."""


def owners_of(models: Reply) -> Iterator[tuple[str, str]]:
    """Id and owner of each model in an answer of `/v1/models`; "" where none is told.

    An owner is its letters and digits alone.
    """
    for entry in map(mapping, sequence(mapping(models.json).get("data"))):
        yield text(entry.get("id")) or "", _plain(text(entry.get("owned_by")) or "")


def namespace(name: str) -> str:
    """The publisher in a model's name, as in hf.co/publisher/model; "" without one."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 1 else ""


def other_kind(models: Reply) -> str | None:
    """The server without an adapter of its own that this one says it is, if it does."""
    for name, owner in owners_of(models):
        if name.casefold().startswith("koboldcpp/"):
            return OTHERS["koboldcpp"]
        # The publisher of one model says nothing of the server.
        if owner in OTHERS and owner != _plain(namespace(name)):
            return OTHERS[owner]
    return None


def _plain(owner: str) -> str:
    return re.sub(r"[^a-z0-9]", "", owner.casefold())


def refuse_other_kind(transport: Transport, provider: str) -> None:
    """Refuse a server that says it is another one. Raises ProviderError.

    Its routes may answer in the words of this provider with figures of its own making.
    """
    models = transport.get("/v1/models")
    kind = other_kind(models) if models.ok else None
    if kind is not None:
        raise ProviderError(
            f"the server at {transport.endpoint.url} is {kind}, and no {provider}",
            "speak to it with --provider openai",
            "WRONG_SERVER",
        )
