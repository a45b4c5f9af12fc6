"""GGUF files as the format's specification has them, small and whole."""

from __future__ import annotations

import struct
from pathlib import Path

from orket.quants import tensor_type

MXFP4, F32 = 39, 0


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def entry(key: str, value: str | int) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    return text(key) + struct.pack("<II", 4, value)


def gguf(
    file_type: int | None = 15,
    tensors: int = 2,
    kind: int = F32,
    architecture: str | None = "llama",
    weights: bool = True,
    **extra: str | int,
) -> bytes:
    """A file of tensors of 10 x 32 weights, with them or only their header."""
    entries = [
        *([entry("general.architecture", architecture)] if architecture else []),
        entry("llama.context_length", 4096),
        *(entry(key.replace("__", "."), value) for key, value in extra.items()),
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") * 2,
        text("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, 3) + b"\0" * 12,
    ]
    if file_type is not None:
        entries.append(entry("general.file_type", file_type))
    stored = tensor_type(kind)
    assert stored.block_weights and stored.block_bytes
    size = 320 // stored.block_weights * stored.block_bytes
    place = -(-size // 32) * 32
    body = b"".join(entries)
    for number in range(tensors):
        body += text(f"blk.{number}")
        body += struct.pack("<IQQIQ", 2, 10, 32, kind, number * place)
    header = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries)) + body
    if not weights:
        return header
    return header + b"\0" * (-len(header) % 32 + tensors * place)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
