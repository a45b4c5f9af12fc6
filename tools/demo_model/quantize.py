# mypy: disable-error-code="import-not-found"
"""Quantize the F16 file into the ladder, with llama.cpp's own quantizers.

The wheel of xllamacpp exports llama.cpp's ggml_quantize_chunk, so no build of
llama.cpp is needed. Which tensor gets which type follows llama-quantize's mixes;
they are spelled out below for this model's shape only (untied output, two query
heads per key head, three layers, no importance matrix).
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Quant
from gguf import LlamaFileType as FileType

from tools.demo_model import gguf_file

LAYERS = 3


@dataclass(frozen=True)
class Mix:
    """A file type: its basic tensor type and the tensors that get a better one.

    `more_bits` names the type that llama-quantize gives attn_v and ffn_down in the
    layers it thinks matter most.
    """

    file_type: FileType
    base: Quant
    attn_v: Quant | None = None
    attn_output: Quant | None = None
    ffn_down: Quant | None = None
    more_bits: Quant | None = None


MIXES: dict[str, Mix] = {
    "Q8_0": Mix(FileType.MOSTLY_Q8_0, Quant.Q8_0),
    "Q6_K": Mix(FileType.MOSTLY_Q6_K, Quant.Q6_K),
    "Q5_K_M": Mix(FileType.MOSTLY_Q5_K_M, Quant.Q5_K, more_bits=Quant.Q6_K),
    "Q4_K_M": Mix(FileType.MOSTLY_Q4_K_M, Quant.Q4_K, more_bits=Quant.Q6_K),
    "IQ4_XS": Mix(FileType.MOSTLY_IQ4_XS, Quant.IQ4_XS),
    "Q3_K_M": Mix(
        FileType.MOSTLY_Q3_K_M,
        Quant.Q3_K,
        attn_v=Quant.Q5_K,
        attn_output=Quant.Q4_K,
        ffn_down=Quant.Q4_K,
    ),
    "Q3_K_S": Mix(FileType.MOSTLY_Q3_K_S, Quant.Q3_K),
    "Q2_K": Mix(
        FileType.MOSTLY_Q2_K,
        Quant.Q2_K,
        attn_v=Quant.Q3_K,
        attn_output=Quant.Q3_K,
        ffn_down=Quant.Q3_K,
    ),
}


def gets_more_bits(layer: int) -> bool:
    """Repeat llama-quantize's rule: first eighth, last eighth, every third between."""
    first, last = LAYERS // 8, 7 * LAYERS // 8
    return layer < first or layer >= last or (layer - first) % 3 == 2


def tensor_type(quant: str, name: str) -> Quant:
    """Return the type that llama-quantize gives this tensor in this file type."""
    mix = MIXES[quant]
    if name == "output.weight":
        return Quant.Q8_0 if quant == "Q8_0" else Quant.Q6_K
    if not name.startswith("blk."):
        return mix.base
    _, layer, part, _ = name.split(".")
    if part in ("attn_v", "ffn_down") and mix.more_bits and gets_more_bits(int(layer)):
        return mix.more_bits
    if part == "attn_v" and quant == "Q3_K_M" and int(layer) >= 2:
        return Quant.Q4_K
    better = {
        "attn_v": mix.attn_v,
        "attn_output": mix.attn_output,
        "ffn_down": mix.ffn_down,
    }
    return better.get(part) or mix.base


def load_ggml() -> ctypes.CDLL:
    """Load the wheel's shared object without importing the package."""
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None or spec.origin is None:
        raise SystemExit("quantize: xllamacpp is not installed")
    library = ctypes.CDLL(str(next(Path(spec.origin).parent.glob("xllamacpp*.so"))))
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return library


def quantize_matrix(ggml: ctypes.CDLL, matrix: np.ndarray, quant: Quant) -> np.ndarray:
    """Return the rows of a matrix in the bytes of the wanted type."""
    source = np.ascontiguousarray(matrix, dtype=np.float32)
    rows, columns = source.shape
    block, size = gguf.GGML_QUANT_SIZES[quant]
    if columns % block:
        raise ValueError(f"rows of {columns} do not fit blocks of {block}")
    target = np.zeros((rows, columns // block * size), dtype=np.uint8)
    written = ggml.ggml_quantize_chunk(
        int(quant), source.ctypes.data, target.ctypes.data, 0, rows, columns, None
    )
    if written != target.nbytes:
        raise ValueError(f"{written} bytes written, {target.nbytes} expected")
    return target


def read_f16(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of the F16 file; quantizing starts from what users have."""
    return {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}


def quantize(
    ggml: ctypes.CDLL, weights: dict[str, np.ndarray], quant: str
) -> gguf_file.Tensors:
    """Return all tensors of one quant; vectors stay as they are."""
    out: dict[str, tuple[np.ndarray, Quant]] = {}
    for name, value in weights.items():
        if value.ndim == 1:
            out[name] = (value, Quant.F32)
        else:
            kind = tensor_type(quant, name)
            out[name] = (quantize_matrix(ggml, value, kind), kind)
    return out


def write_hashes(folder: Path) -> None:
    """Record the SHA-256 of every file of the ladder, in sha256sum's format."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.glob("*.gguf"))
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def main() -> None:
    """Read the command line and write the ladder next to the F16 file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("f16", type=Path, help="orket-demo-F16.gguf")
    args = parser.parse_args()
    ggml, weights = load_ggml(), read_f16(args.f16)
    for quant, mix in MIXES.items():
        path = args.f16.with_name(f"{gguf_file.NAME}-{quant}.gguf")
        gguf_file.write(path, quantize(ggml, weights, quant), mix.file_type)
        print(f"{path.name} {path.stat().st_size}")
    write_hashes(args.f16.parent)


if __name__ == "__main__":
    main()
