"""What the raw row types are made of: bounded figures, names, a column's words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from orket.limits import MAX_BYTES, MAX_COUNT, MAX_NS, MAX_READING

Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Duration = Annotated[int, Meta(ge=0, le=MAX_NS)]
Size = Annotated[int, Meta(ge=0, le=MAX_BYTES)]
Reading = Annotated[int, Meta(ge=0, le=MAX_READING)]
Signed = Annotated[int, Meta(ge=-MAX_READING, le=MAX_READING)]
Name = Annotated[str, Meta(min_length=1)]
Moment = Annotated[datetime, Meta(tz=True)]


def about(meaning: str, unit: str = "", source: str = "orket") -> Meta:
    """What the data dictionary says of a column."""
    return Meta(description=meaning, extra={"unit": unit, "source": source})


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every raw row and every group inside one."""
