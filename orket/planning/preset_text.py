"""A resolved preset written out as a file to edit."""

from __future__ import annotations

from orket.planning.kept import plain_content
from orket.planning.preset import Preset

_HEAD = """\
# Written by `orket init`. Edit it, then run it: orket run {file}
# The most precise quant is what the others are held against. The bank `core` is
# general; your own tasks measure your own work (docs/tasks.md). Keys: docs/presets.md.
"""


def render_preset(preset: Preset, file: str) -> str:
    """TOML of a preset with all that the options put over it; without a password."""
    import tomli_w

    content = plain_content(preset)
    (model,) = content["models"]
    content["title"] = f"{model['id']} on {content['provider']['name']}"
    content.pop("description", None)
    ordered = {"schema_version": 1, "title": content["title"], **content}
    shown = " ".join(file.split())
    return _HEAD.format(file=shown) + tomli_w.dumps(ordered)
