"""Reads what a GGUF file says of itself: architecture, quant, parameters.

Only the header is read, never the weights, and every length in it is checked: the
file comes from elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
MAX_HEADER_BYTES = 512 * 1024 * 1024
"""Vocabularies of the largest models fill some tens of MiB."""
MAX_DIMENSIONS = 8
MAX_NESTING = 4
HASH_BLOCK_BYTES = 1024 * 1024

FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
"""llama.cpp's `llama_ftype`, as kept in `general.file_type`."""

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
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})$")


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
    file_bytes: int
    metadata: dict[str, Any]


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file. Raises BadGguf or OSError."""
    with path.open("rb") as stream:
        reader = _Reader(stream)
        if stream.read(4) != MAGIC:
            raise BadGguf("not a GGUF file")
        version = reader.scalar(4)
        if version not in (2, 3):
            raise BadGguf(f"GGUF version {version} is not supported")
        tensors, keys = reader.scalar(10), reader.scalar(10)
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = reader.string()
            metadata[key] = reader.value(reader.scalar(4))
        parameters = sum(reader.tensor_elements() for _ in range(tensors))
        size = os.fstat(stream.fileno()).st_size
    architecture = _text(metadata.get("general.architecture"))
    file_type = _whole(metadata.get("general.file_type"))
    return GgufHeader(
        path=path,
        architecture=architecture,
        name=_text(metadata.get("general.name")),
        file_type=file_type,
        quant_tag=FILE_TYPES.get(file_type) if file_type is not None else None,
        parameters=parameters,
        context_tokens=_whole(metadata.get(f"{architecture}.context_length")),
        file_bytes=size,
        metadata=metadata,
    )


def hash_file(path: Path) -> str:
    """The file's sha256, as `sha256:<hex>`; computed once per state of the file."""
    state = path.stat()
    return _hash_state(
        str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ino
    )


def file_parts(path: Path) -> list[Path]:
    """All files of a model that was split into several; else the file alone."""
    split = _SPLIT.search(path.stem)
    if split is None:
        return [path]
    stem, total = path.stem[: split.start()], split.group(2)
    return [
        path.with_name(f"{stem}-{number:05d}-of-{total}.gguf")
        for number in range(1, int(total) + 1)
    ]


def normalise_ftype(said: str) -> str | None:
    """The tag of a file type as llama.cpp words it; None for one it does not know.

    `Q4_K - Medium` is Q4_K_M. A guessed type is no evidence.
    """
    if "guessed" in said.lower():
        return None
    head, _, rest = said.strip().partition(" - ")
    sizes = {"Small": "_S", "Medium": "_M", "Large": "_L"}
    tag = head.upper().removeprefix("ALL ").replace(" ", "_")
    if tag == "IQ3_S_MIX":
        tag = "IQ3_M"
    if rest in sizes and tag != "Q2_K":
        tag += sizes[rest]
    elif rest == "Small":
        tag += "_S"
    return tag if tag in FILE_TYPES.values() else None


def normalise_tag(tag: str) -> str | None:
    """A quant tag as llama.cpp's file type, whatever its case and separators.

    None for a tag that is no file type of its own (`UD-Q4_K_XL`, `AWQ`).
    """
    plain = re.sub(r"[^A-Z0-9]+", "_", tag.upper()).strip("_")
    known = {re.sub(r"_", "", name): name for name in FILE_TYPES.values()}
    known["MXFP4"] = "MXFP4_MOE"
    known["FP16"], known["FP32"] = "F16", "F32"
    return known.get(plain.replace("_", ""))


class _Reader:
    """Little-endian reads with a bound on the whole header."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_HEADER_BYTES

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
        if inner in _SCALARS:
            # Token tables are long and not needed: passed over, not built.
            self._take(length * struct.calcsize(_SCALARS[inner]))
        else:
            for _ in range(length):
                self.value(inner, depth + 1)
        return None

    def tensor_elements(self) -> int:
        self.string()
        dimensions = self.scalar(4)
        if dimensions > MAX_DIMENSIONS:
            raise BadGguf("a tensor of too many dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self.scalar(10)
        self.scalar(4), self.scalar(10)
        return elements

    def _take(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise BadGguf("a header without end")
        data = self._stream.read(size)
        if len(data) != size:
            raise BadGguf("the file ends inside its header")
        return data


@lru_cache(maxsize=256)
def _hash_state(path: str, size: int, mtime_ns: int, inode: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None
