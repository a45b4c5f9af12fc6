"""Levels of a quant: how its KV cache is kept and how long its context is.

`Q4_K_M@kv=q8_0,ctx=16k` is the quant Q4_K_M at a level: the same weights with another
cache, and so an entry of the ladder of its own. A level is spelled in one way alone
(`kv` first, whole multiples of 1024 tokens as `k`), so that tags can be compared.

A label of a quant (`Q8_0@unsloth`) has no `=` in it; a level comes after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orket.errors import UsageError

MARK = "@"
"""Stands in front of a label and of a level."""
KV, CONTEXT = "kv", "ctx"
PLAIN_KV = "f16"
"""What llama.cpp keeps its KV cache in unless it is told otherwise."""
KNOWN = f"a level is {KV}=TYPE or {KV}=KEYS/VALUES, {CONTEXT}=TOKENS, or both"

_KV = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)?")
_TOKENS = re.compile(r"(\d{1,9})(k?)")


@dataclass(frozen=True, slots=True)
class Level:
    """What a level asks for; None leaves it to the controls."""

    kv: str | None = None
    """Type of the KV cache; `q8_0/f16` where keys and values differ."""
    context_tokens: int | None = None

    def __str__(self) -> str:
        parts = [] if self.kv is None else [f"{KV}={self.kv}"]
        if self.context_tokens is not None:
            parts.append(f"{CONTEXT}={_spell_tokens(self.context_tokens)}")
        return ",".join(parts)


def split_level(tag: str) -> tuple[str, Level | None]:
    """A quant's tag without its level, and the level. Raises UsageError."""
    before, mark, last = tag.rpartition(MARK)
    if not mark or "=" not in last:
        return tag, None
    return before, _read_level(last, tag)


def without_level(tag: str) -> str:
    """A quant's tag without its level, however that is written."""
    before, mark, last = tag.rpartition(MARK)
    return before if mark and "=" in last else tag


def with_level(tag: str, level: Level | None) -> str:
    """A tag at a level."""
    return f"{tag}{MARK}{level}" if level is not None else tag


def spell_level(tag: str) -> str:
    """The tag with its level in the one spelling that it has, if it can be read."""
    try:
        return with_level(*split_level(tag.strip()))
    except UsageError:
        return tag


def as_label(name: str) -> str:
    """A name that is to tell a quant from another: no level can be read out of it."""
    return MARK + name.replace("=", "-")


def continues_level(part: str) -> bool:
    """Whether a part of a list goes on with the level in front of it: `ctx=16k`."""
    key, equals, _ = part.partition("=")
    return bool(equals) and MARK not in key and key.strip() in (KV, CONTEXT)


def kv_types(kv: str) -> tuple[str, str]:
    """The types of keys and of values."""
    keys, _, values = kv.partition("/")
    return keys, values or keys


def read_kv(value: str) -> str:
    """The type of a KV cache in its one spelling. Raises UsageError."""
    plain = value.strip().lower()
    if not _KV.fullmatch(plain):
        raise UsageError(
            f"{value!r} is no type of a KV cache",
            "write q8_0, or q8_0/f16 for keys and values",
        )
    keys, values = kv_types(plain)
    return keys if keys == values else plain


def _read_level(text: str, tag: str) -> Level:
    said: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in (KV, CONTEXT):
            raise UsageError(f"{tag}: no level is called {part.strip()!r}", KNOWN)
        if key in said:
            raise UsageError(f"{tag}: {key} stands there twice", "give it once")
        said[key] = value.lower()
    return Level(
        read_kv(said[KV]) if KV in said else None,
        _read_tokens(said[CONTEXT], tag) if CONTEXT in said else None,
    )


def _read_tokens(value: str, tag: str) -> int:
    found = _TOKENS.fullmatch(value)
    tokens = int(found[1]) * (1024 if found[2] else 1) if found else 0
    if tokens < 1:
        raise UsageError(
            f"{tag}: {value!r} is no context", f"write {CONTEXT}=8192 or {CONTEXT}=8k"
        )
    return tokens


def _spell_tokens(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else str(tokens)
