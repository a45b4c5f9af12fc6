"""A line to type where a command lacks what it cannot do without."""

from __future__ import annotations

from types import MappingProxyType

EXAMPLES = MappingProxyType(
    {
        "orket plan": "orket plan quickstart",
        "orket init": "orket init ./models",
        "orket canary": "orket canary quickstart",
        "orket determinism": "orket determinism quickstart",
        "orket why": "orket why Q4_K_M latest",
        "orket explain": "orket explain 25feb6b0a3fc",
        "orket diff": "orket diff 20261129-145825 latest",
        "orket gate": "orket gate latest --quant Q4_K_M",
        "orket baseline export": "orket baseline export ./baselines",
        "orket baseline import": "orket baseline import ./baselines/*.json",
        "orket baseline pin": "orket baseline pin 20261130222407-885acb4a",
        "orket baseline show": "orket baseline show 20261130222407-885acb4a",
        "orket baseline unpin": "orket baseline unpin 20261130222407-885acb4a",
        "orket ingest": "orket ingest results.json --quant Q4_K_M",
        "orket bundle": "orket bundle latest -o evidence.tar",
        "orket mock-server": "orket mock-server ollama",
    }
)
"""Command -> a whole line of it, with all that it needs."""
