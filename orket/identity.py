"""Ids that follow from content: the same facts, appended twice, count once."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

_DIGITS = 32


def content_id(*parts: str | int | None) -> str:
    """A hash over the parts, in order; None is told apart from empty text."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def dated_content_id(moment: datetime, *parts: str | int | None) -> str:
    """A hash over the parts behind a moment, so that ids sort by time."""
    return f"{moment:%Y%m%d%H%M%S}-{content_id(moment.isoformat(), *parts)}"
