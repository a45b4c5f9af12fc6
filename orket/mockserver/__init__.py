"""A model server without a model: replays rates and answers, injects faults on demand.

It speaks the routes of the servers Orket measures, on loopback, so that presets,
adapters and CI can be tried without weights. What it reports is computed from the
profile's rates, never measured, so that two runs report the same figures.
"""

from __future__ import annotations

from orket.mockserver.dialects import DIALECTS
from orket.mockserver.faults import FAULTS, Fault, parse_fault
from orket.mockserver.profile import MockModel, Profile, load_profile
from orket.mockserver.server import MockServer

__all__ = [
    "DIALECTS",
    "FAULTS",
    "Fault",
    "MockModel",
    "MockServer",
    "Profile",
    "load_profile",
    "parse_fault",
]
