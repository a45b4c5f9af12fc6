# mypy: disable-error-code="misc"
# (Without torch its classes have no type, and none may be derived from them.)
"""The model: a small llama with interleaved rotary pairs, and its byte vocabulary.

Interleaved pairs are what llama.cpp computes for this architecture, so the
weights go into the file as they are, without a permutation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BOS, EOS, PAD, USER, ASSISTANT = 256, 257, 258, 259, 260
VOCABULARY = 264


@dataclass(frozen=True)
class Shape:
    """Sizes of the model; every row length is a multiple of 256 for the K-quants."""

    width: int = 256
    hidden: int = 512
    layers: int = 3
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    context: int = 512
    epsilon: float = 1e-5
    rope_base: float = 10000.0


def prompt_tokens(prompt: str) -> list[int]:
    """Encode a user message as the chat template does, up to the answer."""
    return [BOS, USER, *prompt.encode(), ASSISTANT]


def rotary_tables(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every position and pair."""
    pairs = torch.arange(0, shape.head_width, 2, dtype=torch.float32)
    rates = shape.rope_base ** (-pairs / shape.head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), rates)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn neighbouring pairs of the last axis by the angle of their position."""
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)


class Block(nn.Module):
    """One layer: grouped-query attention and a gated feed-forward part."""

    def __init__(self, shape: Shape) -> None:
        """Create the weights of one layer."""
        super().__init__()
        self.shape = shape
        queries = shape.heads * shape.head_width
        keys = shape.kv_heads * shape.head_width
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attn_q = nn.Linear(shape.width, queries, bias=False)
        self.attn_k = nn.Linear(shape.width, keys, bias=False)
        self.attn_v = nn.Linear(shape.width, keys, bias=False)
        self.attn_output = nn.Linear(queries, shape.width, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Add attention and feed-forward to the residual stream."""
        x = x + self.attention(self.attn_norm(x), cos, sin)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))

    def attention(self, h: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attend to the past; padding lies at the end, so causality hides it."""
        batch, length, _ = h.shape

        def split(x: Tensor) -> Tensor:
            return x.view(batch, length, -1, self.shape.head_width).transpose(1, 2)

        q = rotate(split(self.attn_q(h)), cos, sin)
        k = rotate(split(self.attn_k(h)), cos, sin)
        v = split(self.attn_v(h))
        groups = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.attn_output(mixed.transpose(1, 2).reshape(batch, length, -1))


class DemoModel(nn.Module):
    """The whole network; parameter names follow the tensor names of GGUF."""

    def __init__(self, shape: Shape) -> None:
        """Create and initialise all weights."""
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(VOCABULARY, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.output = nn.Linear(shape.width, VOCABULARY, bias=False)
        cos, sin = rotary_tables(shape, shape.context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        nn.init.normal_(self.token_embd.weight, std=0.5)
        nn.init.normal_(self.output.weight, std=0.02)

    def hidden(self, tokens: Tensor) -> Tensor:
        """Return the normalised last states, before the output matrix."""
        length = tokens.shape[1]
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, self.cos[:length], self.sin[:length])
        return self.output_norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of every position."""
        return self.output(self.hidden(tokens))
