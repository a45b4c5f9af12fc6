"""The sensor registry, read from the declaration of `records.Counters`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from orket.records import Counters

UNAVAILABLE = "unavailable"
"""The machine or the server has no such reading now."""
ABSENT = "absent"
"""The machine has no such device (a GPU, say), so nothing is unknown."""
DENIED = "denied"
"""It is there, and this user may not read it."""
ERROR = "error"
"""It was read, and what it said cannot be true."""
UNSUPPORTED_PLATFORM = "unsupported_platform"
"""Orket does not read it on this operating system."""

PLATFORMS = {"linux": "linux", "darwin": "macos", "win32": "windows"}


@dataclass(frozen=True, slots=True)
class Sensor:
    """One field of `Counters` and what is declared of it."""

    field: str
    meaning: str
    unit: str
    source: str
    platforms: tuple[str, ...]
    pollutes: tuple[str, ...]
    kind: str
    """`counter` (cumulative) or `level` (one moment)."""


@cache
def list_sensors() -> tuple[Sensor, ...]:
    """All sensors, in the order of their declaration."""
    hints = get_type_hints(Counters, include_extras=True)
    return tuple(_read_declaration(name, hint) for name, hint in hints.items())


def _read_declaration(field: str, hint: Any) -> Sensor:
    meta = next(arg for arg in get_args(hint) if isinstance(arg, msgspec.Meta))
    extra: dict[str, str] = dict(meta.extra or {})
    return Sensor(
        field=field,
        meaning=meta.description or "",
        unit=extra["unit"],
        source=extra["source"],
        platforms=tuple(extra["platforms"].split()),
        pollutes=tuple(extra["pollutes"].split()),
        kind=extra["kind"],
    )


def name_platform(sys_platform: str) -> str:
    """`sys.platform` in the registry's words: linux, macos, windows or itself."""
    return PLATFORMS.get(sys_platform, sys_platform)
