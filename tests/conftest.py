"""Options of the suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the golden files anew instead of comparing."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew; review the diff",
    )
