"""A real llama.cpp server on the demo ladder, for tests marked `live`.

Import the fixture in a test module: `from tests.live import llama_url  # noqa: F401`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orket.providers.contract import ModelRef
from orket.providers.llamacpp.engine import EngineProcess, EngineSettings
from orket.records import Controls
from orket.resources import shipped

SERVED_QUANT = "Q6_K"
CONTROLS = Controls(seed=7, temperature_milli=0, threads="1", affinity="none")
"""One thread: two of them spin against each other on a busy machine."""


def demo_gguf(quant: str) -> Path:
    """A file of the demo ladder: the shipped one, else one in $ORKET_DEMO_LADDER."""
    name = f"orket-demo-{quant}.gguf"
    places = [shipped("presets") / "models" / "orket-demo"]
    if "ORKET_DEMO_LADDER" in os.environ:
        places.append(Path(os.environ["ORKET_DEMO_LADDER"]))
    for place in places:
        if (place / name).is_file():
            return place / name
    pytest.fail(f"{name} is in none of {', '.join(map(str, places))}")


def demo_ref(quant: str) -> ModelRef:
    """The demo model in one quant, as the embedded engine takes it."""
    path = demo_gguf(quant)
    return ModelRef("orket-demo", quant, path.stem, path)


@pytest.fixture(scope="session")
def llama_url() -> Iterator[str]:
    """The address of a llama.cpp server that holds SERVED_QUANT as `orket-demo`."""
    path = str(demo_gguf(SERVED_QUANT))
    engine = EngineProcess(EngineSettings(path, "orket-demo", 512, threads=1))
    try:
        yield engine.address
    finally:
        engine.stop()
