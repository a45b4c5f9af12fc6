"""What views there are and what their columns mean, without a warehouse."""

from __future__ import annotations

import re
import tempfile

from orket.warehouse.session import ColumnNote
from orket.warehouse.store import Warehouse
from orket.warehouse.view_files import split_comments, view_files

_OF_VIEW = re.compile(r"^COMMENT ON VIEW \S+ IS\s+'((?:[^']|'')*)';", re.MULTILINE)


def described_views() -> dict[str, str]:
    """View -> what it shows, in dependency order."""
    found = {}
    for name, path in view_files().items():
        comment = _OF_VIEW.search(split_comments(path)[1])
        found[name] = comment[1].replace("''", "'") if comment else ""
    return found


def described_columns(view: str, *, human: bool = False) -> list[ColumnNote]:
    """The columns of a view, or of its form in people's units (`v1h`)."""
    with (
        tempfile.TemporaryDirectory() as empty,
        Warehouse.open(empty).session() as session,
    ):
        return session.columns_of(view, human=human)
