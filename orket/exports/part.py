"""The base of every object in `sweep_summary.json`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of every object in the summary: unknown keys are kept, not refused."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        use_attribute_docstrings=True,
        defer_build=True,
        protected_namespaces=(),
    )
