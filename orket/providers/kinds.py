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


def owners_of(models: Reply) -> Iterator[str]:
    """The owners in an answer of `/v1/models`, by their letters and digits alone."""
    for entry in sequence(mapping(models.json).get("data")):
        told = text(mapping(entry).get("owned_by"))
        if told:
            yield re.sub(r"[^a-z0-9]", "", told.casefold())


def other_kind(models: Reply) -> str | None:
    """The server without an adapter of its own that this one says it is, if it does."""
    for owner in owners_of(models):
        if owner in OTHERS:
            return OTHERS[owner]
    ids = (mapping(e).get("id") for e in sequence(mapping(models.json).get("data")))
    if any((text(name) or "").startswith("koboldcpp/") for name in ids):
        return OTHERS["koboldcpp"]
    return None


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
