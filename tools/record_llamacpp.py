"""Record what llama.cpp's server really answers, as fixtures of the test suite.

    python -m tools.record_llamacpp orket-demo-Q6_K.gguf

Run it again after an update of the engine, and read the diff: a difference in shape is
a change of the contract the adapters read.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx

from orket.providers.llamacpp.engine import EngineProcess, EngineSettings

FOLDER = Path(__file__).parent.parent / "tests/fixtures/providers/llamacpp"
PROMPT = "json: name=ada age=36"


def chat(prompt: str = PROMPT, **options: Any) -> dict[str, Any]:
    """A chat request with its own options."""
    messages = [{"role": "user", "content": prompt}]
    return {
        "messages": messages,
        "max_tokens": 64,
        "seed": 7,
        "temperature": 0,
        "cache_prompt": False,
        **options,
    }


STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
POSTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat.json": ("/v1/chat/completions", chat()),
    "chat_cached.json": ("/v1/chat/completions", chat(cache_prompt=True)),
    "chat_length.json": ("/v1/chat/completions", chat(max_tokens=4)),
    "chat_one_token.json": ("/v1/chat/completions", chat(max_tokens=1)),
    "chat_stream.sse": ("/v1/chat/completions", chat(**STREAMED)),
    "chat_stream_no_usage.sse": ("/v1/chat/completions", chat(stream=True)),
    "chat_stream_every_timing.sse": (
        "/v1/chat/completions",
        chat(timings_per_token=True, **STREAMED),
    ),
    "error_context.json": ("/v1/chat/completions", chat("x" * 600)),
    "error_no_messages.json": ("/v1/chat/completions", {"max_tokens": 1}),
    "completion.json": (
        "/completion",
        {"prompt": "a", "n_predict": 1, "seed": 7, "temperature": 0},
    ),
}
GETS = {
    "props.json": "/props",
    "v1_models.json": "/v1/models",
    "metrics.txt": "/metrics",
    "slots.json": "/slots",
    "health.json": "/health",
}


def main() -> None:
    """Start the engine on one file and write every answer."""
    model = Path(sys.argv[1]).resolve()
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = EngineSettings(str(model), "orket-demo", 512, threads=1)
    engine = EngineProcess(settings)
    try:
        with httpx.Client(base_url=engine.address, trust_env=False) as client:
            answers = {
                name: client.post(route, json=body).content
                for name, (route, body) in POSTS.items()
            }
            answers |= {name: client.get(route).content for name, route in GETS.items()}
    finally:
        engine.stop()
    for name, content in answers.items():
        plain = content.replace(str(model).encode(), model.name.encode())
        (FOLDER / name).write_bytes(plain)


if __name__ == "__main__":
    main()
