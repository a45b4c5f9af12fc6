"""Reads what a GGUF file says of itself: architecture, quant, parameters.

Only the header is read, never the weights, and every length in it is checked: the
file comes from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from orket.quants import quant_of_file_type, tensor_type

MAGIC = b"GGUF"
MAX_HEADER_BYTES = 512 * 1024 * 1024
"""Vocabularies of the largest models fill some tens of MiB."""
MAX_DIMENSIONS = 8
MAX_NESTING = 4
MAX_ELEMENTS = 2**50
"""Of one tensor: a thousand times the largest model."""
MAX_TEXT = 200
"""Characters of a header's text that are kept."""
MAX_ALIGNMENT = 1024 * 1024
MAX_SHORT_ARRAY = 1024
"""Entries of an array that is kept: more than the bytes and their special tokens."""
HASH_BLOCK_BYTES = 1024 * 1024

_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_SPECIAL_TOKENS = frozenset({3, 5})
"""Kinds of tokens that no text becomes: of control, and unused ones."""
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$", re.IGNORECASE)
_OTHERS = (
    (re.compile(rb"\s*<(?:!doctype|html|\?xml|head)", re.IGNORECASE), "an HTML page"),
    (
        re.compile(rb"version https://git-lfs"),
        "a pointer of Git LFS, not the file itself",
    ),
    (re.compile(rb"\s*[\[{]"), "a JSON text"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
    (re.compile(rb"(?:lmgg|fmgg|tjgg|algg|ggml|ggjt|ggla)"), "an older GGML format"),
    (re.compile(rb".{8}\{\"", re.DOTALL), "a safetensors file"),
    (re.compile(rb"\x00+$"), "nothing but zeros: a download that has not begun"),
)
"""What lies under the name of a GGUF file in its place, by its first bytes."""


class BadGguf(Exception):
    """The file is not a GGUF file, or a broken one; the message is one line."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header of a file says; None where it does not."""

    path: Path
    architecture: str | None
    name: str | None
    file_type: int | None
    quant_tag: str | None
    """The tag of `file_type`, where llama.cpp knows one."""
    parameters: int
    """Elements of all tensors."""
    context_tokens: int | None
    """Context the model was trained with."""
    is_bytewise: bool
    """Whether each byte of a text is a token: its vocabulary has no longer ones."""
    file_bytes: int
    metadata: dict[str, Any]
    whole_bytes: int
    """What the file must have at least, by the places of its tensors."""
    tensor_types: tuple[tuple[str, int], ...]
    """How many tensors are stored in which type, by the type's name."""

    @property
    def publisher(self) -> str | None:
        """Who made these weights of the model, by the header's word."""
        return _text(self.metadata.get("general.quantized_by"))

    @property
    def is_cut_short(self) -> bool:
        """Whether the file ends before its tensors do."""
        return self.file_bytes < self.whole_bytes


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file. Raises BadGguf or OSError."""
    with path.open("rb") as stream:
        reader = _Reader(stream)
        start = stream.read(64)
        if not start.startswith(MAGIC):
            raise BadGguf(_say_other(start))
        stream.seek(len(MAGIC))
        version = reader.scalar(4)
        if version and not version % 65536:
            raise BadGguf("big-endian: made for other processors than this one")
        if version not in (2, 3):
            raise BadGguf(f"GGUF version {version} is not supported")
        tensors, keys = reader.scalar(10), reader.scalar(10)
        metadata: dict[str, Any] = {}
        tables: dict[str, list[Any]] = {}
        for _ in range(keys):
            key = reader.string()
            if key in metadata:
                raise BadGguf(f"its header says {key} twice")
            kind = reader.scalar(4)
            metadata[key] = reader.value(kind)
            if kind == _ARRAY and reader.short_array is not None:
                tables[key] = reader.short_array
        found = [reader.tensor() for _ in range(tensors)]
        header_bytes = stream.tell()
        size = os.fstat(stream.fileno()).st_size
    architecture = _text(metadata.get("general.architecture"))
    file_type = _whole(metadata.get("general.file_type"))
    return GgufHeader(
        path=path,
        architecture=architecture,
        name=_text(metadata.get("general.name")),
        file_type=file_type,
        quant_tag=quant_of_file_type(file_type),
        parameters=sum(tensor.elements for tensor in found),
        context_tokens=_whole(metadata.get(f"{architecture}.context_length")),
        is_bytewise=_is_bytewise(metadata, tables),
        file_bytes=size,
        metadata=metadata,
        whole_bytes=_whole_bytes(header_bytes, metadata, found),
        tensor_types=tuple(
            sorted(Counter(tensor_type(tensor.type).name for tensor in found).items())
        ),
    )


def hash_file(path: Path) -> str:
    """The file's sha256, as `sha256:<hex>`; computed once per state of the file."""
    state = path.stat()
    return _hash_state(
        str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino
    )


def hash_model(path: Path) -> str:
    """The digest of a model with all its parts: of one file its own."""
    return join_digests([hash_file(part) for part in file_parts(path)])


def join_digests(digests: Sequence[str]) -> str:
    """One digest of several; a single one stays as it is."""
    if len(digests) == 1:
        return digests[0]
    listed = json.dumps(list(digests), separators=(",", ":"))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def file_parts(path: Path) -> list[Path]:
    """All files of a model that was split into several; else the file alone."""
    split = _SPLIT.search(path.stem)
    if split is None:
        return [path]
    stem, total = path.stem[: split.start()], split.group(2)
    word = path.stem[split.end() - 8 : split.end() - 6]
    return [
        path.with_name(f"{stem}-{number:05d}-{word}-{total}{path.suffix}")
        for number in range(1, int(total) + 1)
    ]


def part_number(path: Path) -> tuple[int, int] | None:
    """Which part of how many a file is by its name; None for a whole one."""
    split = _SPLIT.search(path.stem)
    return None if split is None else (int(split.group(1)), int(split.group(2)))


@dataclass(frozen=True, slots=True)
class _Tensor:
    elements: int
    type: int
    offset: int


class _Reader:
    """Little-endian reads with a bound on the whole header."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_HEADER_BYTES
        self.short_array: list[Any] | None = None
        """The array that was read last, where it is short; else None."""

    def scalar(self, kind: int) -> Any:
        layout = _SCALARS.get(kind)
        if layout is None:
            raise BadGguf(f"unknown value type {kind}")
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def string(self) -> str:
        return self._take(self.scalar(10)).decode("utf-8", "replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(kind)
        if depth >= MAX_NESTING:
            raise BadGguf("arrays nested too deeply")
        inner, length = self.scalar(4), self.scalar(10)
        if length <= MAX_SHORT_ARRAY:
            found = [self.value(inner, depth + 1) for _ in range(length)]
            self.short_array = found
            return None
        # Most token tables are long and not needed: passed over, not built.
        if inner in _SCALARS:
            self._take(length * struct.calcsize(_SCALARS[inner]))
        else:
            for _ in range(length):
                self.value(inner, depth + 1)
        self.short_array = None
        return None

    def tensor(self) -> _Tensor:
        self.string()
        dimensions = self.scalar(4)
        if dimensions > MAX_DIMENSIONS:
            raise BadGguf("a tensor of too many dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self.scalar(10)
            if elements > MAX_ELEMENTS:
                raise BadGguf("a tensor of more weights than any model has")
        return _Tensor(elements, self.scalar(4), self.scalar(10))

    def _take(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise BadGguf("a header without end")
        data = self._stream.read(size)
        if len(data) != size:
            raise BadGguf("cut short: it ends inside its header")
        return data


def _whole_bytes(
    header_bytes: int, metadata: dict[str, Any], tensors: list[_Tensor]
) -> int:
    """Where the last tensor ends; where it begins, if its type's size is not known."""
    asked = _whole(metadata.get("general.alignment"))
    alignment = asked if asked and asked <= MAX_ALIGNMENT else 32
    start = -(-header_bytes // alignment) * alignment
    ends = [tensor.offset + _tensor_bytes(tensor) for tensor in tensors]
    return start + max(ends) if ends else header_bytes


def _is_bytewise(metadata: dict[str, Any], tables: dict[str, list[Any]]) -> bool:
    """Whether a byte-pair vocabulary has a letter for each byte, and no pairs.

    Its special tokens are longer, and no text becomes one. Other kinds of tokenizers
    are not judged.
    """
    tokens = tables.get("tokenizer.ggml.tokens", [])
    kinds = tables.get("tokenizer.ggml.token_type", [])
    if metadata.get("tokenizer.ggml.model") != "gpt2" or len(tokens) != len(kinds):
        return False
    plain = [
        token
        for token, kind in zip(tokens, kinds, strict=True)
        if kind not in _SPECIAL_TOKENS
    ]
    return bool(plain) and all(len(token) == 1 for token in plain)


def _tensor_bytes(tensor: _Tensor) -> int:
    stored = tensor_type(tensor.type)
    if stored.block_weights is None or stored.block_bytes is None:
        return 0
    return tensor.elements // stored.block_weights * stored.block_bytes


def _say_other(start: bytes) -> str:
    """What a file is that does not begin as a GGUF file does."""
    if not start:
        return "empty"
    for sign, kind in _OTHERS:
        if sign.match(start):
            return f"not a GGUF file: {kind}"
    return "not a GGUF file"


@lru_cache(maxsize=256)
def _hash_state(path: str, size: int, mtime_ns: int, inode: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _text(value: object) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
