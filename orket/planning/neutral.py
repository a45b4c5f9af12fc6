"""The preset behind what is run without one: a screen asks for its name alone."""

from __future__ import annotations

NEUTRAL_PRESET = "any-model"
"""Bank `core`, ordinary thresholds, no demo settings."""
