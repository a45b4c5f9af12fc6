"""The colours of the page and of its charts, each with its pair for a dark screen.

A chart is drawn once, in light colours. Each colour is spelled in one way only, so that
a rule of the page's style finds it in the drawing and puts the dark one in its place.
"""

from __future__ import annotations

INK = "#1f2328"
MUTED = "#57606a"
GRID = "#d8dee4"
SOFT = "#eaeef2"
PAPER = "#ffffff"
ALIKE = "#0a5cad"
APART = "#b35b00"
BAD = "#c11f30"
GOOD = "#17723a"

DARK = {
    INK: "#e6edf3",
    MUTED: "#9aa7b4",
    GRID: "#3a434d",
    SOFT: "#20272f",
    PAPER: "#12171d",
    ALIKE: "#6cb1ff",
    APART: "#f0a04b",
    BAD: "#ff7b83",
    GOOD: "#5fd08a",
}
"""Light -> dark. Text and marks on paper have a contrast of 4.5 and more."""

NAMES = {
    "ink": INK,
    "muted": MUTED,
    "grid": GRID,
    "soft": SOFT,
    "paper": PAPER,
    "alike": ALIKE,
    "apart": APART,
    "bad": BAD,
    "good": GOOD,
}
"""Name of the style's variable -> light colour."""
