"""The servers that can be mimicked, one module each."""

from __future__ import annotations

from orket.mockserver.dialects.base import Dialect
from orket.mockserver.dialects.llama_server import LlamaServerDialect
from orket.mockserver.dialects.lmstudio import LMStudioDialect
from orket.mockserver.dialects.ollama import OllamaDialect
from orket.mockserver.dialects.openai import OpenAIDialect
from orket.mockserver.dialects.tgi import TGIDialect
from orket.mockserver.dialects.vllm import VLLMDialect

DIALECTS: dict[str, type[Dialect]] = {
    "ollama": OllamaDialect,
    "llama-server": LlamaServerDialect,
    "lmstudio": LMStudioDialect,
    "vllm": VLLMDialect,
    "openai": OpenAIDialect,
    "tgi": TGIDialect,
}
"""Name on the command line -> dialect."""

__all__ = ["DIALECTS", "Dialect"]
