"""What the report is drawn and written with: an extra, loaded for a report."""

from __future__ import annotations

from importlib.util import find_spec

from orket.errors import MissingExtra

_PACKAGES = {
    "jinja2": "jinja2",
    "altair": "altair",
    "vl_convert": "vl-convert-python",
}
"""Module -> the package that brings it."""


def require_libraries(*modules: str) -> None:
    """Raise MissingExtra naming the first package that is not installed.

    `modules` are those that are needed; none given, all are.
    """
    for module, package in _PACKAGES.items():
        if modules and module not in modules:
            continue
        if find_spec(module) is None:
            raise MissingExtra(package, "report", "a report")
