# mypy: disable-error-code="import-not-found"
"""Export a checkpoint to F16, after rescaling its channels.

The rescaling divides what a channel carries by a random factor and multiplies the
weights that read the channel by the same factor. The function of the network
stays the same; the weights of a row become uneven, as in large models with their
outlier channels, and low-bit quantization loses more. Sigma 0 leaves it out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Quant

from tools.demo_model import gguf_file

SIGMA = 0.55
SEED = 20261123

Weights = dict[str, np.ndarray]


def load(checkpoint: Path) -> Weights:
    """Read the weights of a checkpoint as 32-bit numbers."""
    state = torch.load(checkpoint, weights_only=True)["model"]
    return {name: value.float().numpy() for name, value in state.items()}


def rescale(weights: Weights, sigma: float, seed: int) -> Weights:
    """Return weights of the same function with uneven channels."""
    out = {name: value.copy() for name, value in weights.items()}
    rng = np.random.default_rng(seed)

    def factors(count: int) -> np.ndarray:
        return np.exp(sigma * rng.standard_normal(count)).astype(np.float32)

    def through_norm(norm: str, readers: list[str]) -> None:
        scale = factors(out[norm].shape[0])
        out[norm] /= scale
        for reader in readers:
            out[reader] *= scale

    layers = sum(name.endswith("attn_q.weight") for name in out)
    for layer in range(layers):
        block = f"blk.{layer}."
        queries = [f"{block}attn_{part}.weight" for part in "qkv"]
        through_norm(f"{block}attn_norm.weight", queries)
        gates = [f"{block}ffn_gate.weight", f"{block}ffn_up.weight"]
        through_norm(f"{block}ffn_norm.weight", gates)
        scale = factors(out[f"{block}ffn_up.weight"].shape[0])
        out[f"{block}ffn_up.weight"] /= scale[:, None]
        out[f"{block}ffn_down.weight"] *= scale
        rescale_values(out, block, factors(out[f"{block}attn_v.weight"].shape[0]))
    through_norm("output_norm.weight", ["output.weight"])
    return out


def rescale_values(out: Weights, block: str, scale: np.ndarray, head: int = 64) -> None:
    """Rescale the values; the query heads that share a value head share its factors."""
    out[f"{block}attn_v.weight"] /= scale[:, None]
    groups = out[f"{block}attn_output.weight"].shape[1] // scale.shape[0]
    shared = np.repeat(scale.reshape(-1, head), groups, axis=0).reshape(-1)
    out[f"{block}attn_output.weight"] *= shared


def export(weights: Weights, path: Path) -> None:
    """Write the F16 file: matrices in 16 bits, norms in 32 as llama.cpp wants."""
    tensors = {}
    for name in sorted(weights, key=tensor_order):
        value = weights[name]
        quant = Quant.F32 if value.ndim == 1 else Quant.F16
        dtype = np.float32 if value.ndim == 1 else np.float16
        tensors[name] = (np.ascontiguousarray(value, dtype=dtype), quant)
    gguf_file.write(path, tensors, gguf.LlamaFileType.MOSTLY_F16)


def tensor_order(name: str) -> tuple[int, str]:
    """Embedding first, layers in order, output last."""
    if name.startswith("blk."):
        return int(name.split(".")[1]) + 1, name
    return (0 if name.startswith("token_embd") else 1000), name


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("gguf", type=Path, help="the F16 file to write")
    parser.add_argument("--sigma", type=float, default=SIGMA)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    args.gguf.parent.mkdir(parents=True, exist_ok=True)
    export(rescale(load(args.checkpoint), args.sigma, args.seed), args.gguf)


if __name__ == "__main__":
    main()
