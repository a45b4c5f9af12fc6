"""Train the demo model on the CPU; the schedule counts steps, never seconds.

The learning rate is held after the warm-up and falls linearly over the last part
(warm-up, stable, decay). Until the fall begins a run does not depend on the total
number of steps, so a checkpoint of the stable part can serve a longer or a
shorter schedule.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.demo_model.generator import (
    FAMILIES,
    Example,
    held_out_stream,
    training_batch,
)
from tools.demo_model.model import BOS, EOS, PAD, DemoModel, Shape, prompt_tokens

IGNORED = -100


@dataclass(frozen=True)
class Schedule:
    """Everything that decides the outcome besides the code and the seed."""

    seed: int = 20261123
    steps: int = 2900
    decay_steps: int = 500
    warmup_steps: int = 100
    small_batch: int = 48
    small_batch_steps: int = 600
    batch: int = 80
    micro_batches: int = 3
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    clip: float = 1.0

    def batch_at(self, step: int) -> int:
        """Small batches first: early steps gain more from number than from size."""
        return self.small_batch if step < self.small_batch_steps else self.batch

    def rate_at(self, step: int) -> float:
        """Return the factor on the learning rate."""
        rise = (step + 1) / self.warmup_steps
        fall = (self.steps - step) / self.decay_steps
        return max(0.01, min(1.0, rise, fall))


def encode(example: Example) -> tuple[list[int], list[int]]:
    """Return the tokens and, for each, the next token where it is to be learnt."""
    head = prompt_tokens(example.prompt)
    answer = [*example.answer.encode(), EOS]
    tokens = [*head, *answer]
    targets = [IGNORED] * (len(head) - 1) + answer
    return tokens[:-1], targets


def loss_of(model: DemoModel, examples: list[Example]) -> Tensor:
    """Return the summed loss; a token weighs 1/sqrt of its answer's length.

    With equal weights per token the short answers would drown; with equal weights
    per answer the long ones would be learnt too slowly.
    """
    rows = [encode(e) for e in examples]
    width = max(len(tokens) for tokens, _ in rows)
    width = math.ceil(width / 8) * 8
    tokens = torch.tensor([t + [PAD] * (width - len(t)) for t, _ in rows])
    targets = torch.tensor([y + [IGNORED] * (width - len(y)) for _, y in rows])
    learnt = targets != IGNORED
    weights = learnt.sum(1, keepdim=True).float().rsqrt().expand_as(targets)[learnt]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model.output(model.hidden(tokens)[learnt])
    losses = F.cross_entropy(logits.float(), targets[learnt], reduction="none")
    return (losses * weights).sum()


def micro_batches(examples: list[Example], count: int) -> list[list[Example]]:
    """Split by length, so that little of a batch is padding."""
    ordered = sorted(examples, key=lambda e: len(e.prompt) + len(e.answer))
    size = math.ceil(len(ordered) / count)
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def optimizers(model: DemoModel, plan: Schedule) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for everything else."""
    matrices = [p for p in model.blk.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    muon = torch.optim.Muon(
        matrices,
        lr=plan.learning_rate,
        weight_decay=plan.weight_decay,
        momentum=0.95,
        ns_steps=4,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.AdamW(
        rest, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay
    )
    return [muon, adam]


def train_step(
    model: DemoModel, tools: list[torch.optim.Optimizer], plan: Schedule, step: int
) -> float:
    """Do one step and return its mean loss per answer-weight."""
    examples = training_batch(plan.seed, step, plan.batch_at(step))
    scale = sum(math.sqrt(len(e.answer.encode()) + 1) for e in examples)
    total = 0.0
    for part in micro_batches(examples, plan.micro_batches):
        loss = loss_of(model, part) / scale
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    for tool in tools:
        for group in tool.param_groups:
            group["lr"] = plan.learning_rate * plan.rate_at(step)
        tool.step()
        tool.zero_grad(set_to_none=True)
    return total


def greedy(model: DemoModel, prompts: list[str], limit: int) -> list[str]:
    """Answer all prompts at once, most likely token first.

    Prompts of different lengths share one matrix: each row is extended at its own
    end, and causality hides the padding behind it.
    """
    rows = [prompt_tokens(p) for p in prompts]
    starts = [len(r) for r in rows]
    done = [False] * len(rows)
    for _ in range(limit):
        live = [i for i, finished in enumerate(done) if not finished]
        if not live:
            break
        width = max(len(rows[i]) for i in live)
        tokens = torch.tensor([rows[i] + [PAD] * (width - len(rows[i])) for i in live])
        last = torch.tensor([len(rows[i]) - 1 for i in live])
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            states = model.hidden(tokens)[torch.arange(len(live)), last]
            best = model.output(states).argmax(-1).tolist()
        for i, token in zip(live, best, strict=True):
            rows[i].append(token)
            done[i] = token == EOS
    answers = [r[s:] for r, s in zip(rows, starts, strict=True)]
    return [bytes(t for t in a if t < BOS).decode(errors="replace") for a in answers]


def adherence(model: DemoModel, seed: int, count: int) -> dict[str, float]:
    """Return the share of exact answers per family on held-out prompts."""
    scores = {}
    for family in FAMILIES:
        examples = list(itertools.islice(held_out_stream(seed, family), count))
        limit = max(len(e.answer) for e in examples) + 2
        answers = greedy(model, [e.prompt for e in examples], limit)
        right = [a == e.answer for a, e in zip(answers, examples, strict=True)]
        scores[family] = sum(right) / count
    return scores


def save(
    path: Path, model: DemoModel, tools: list[torch.optim.Optimizer], step: int
) -> None:
    """Write a checkpoint whole or not at all."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "tools": [t.state_dict() for t in tools],
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def resume(path: Path, model: DemoModel, tools: list[torch.optim.Optimizer]) -> int:
    """Load a checkpoint and return the step that comes next."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for tool, saved in zip(tools, state["tools"], strict=True):
        tool.load_state_dict(saved)
    return int(state["step"])


def train(plan: Schedule, folder: Path, *, every: int) -> None:
    """Run the schedule from the last checkpoint in the folder, if there is one."""
    torch.manual_seed(plan.seed)
    model = DemoModel(Shape())
    tools = optimizers(model, plan)
    latest = folder / "latest.pt"
    start = resume(latest, model, tools) if latest.exists() else 0
    began, running = time.monotonic(), None
    for step in range(start, plan.steps):
        loss = train_step(model, tools, plan, step)
        running = loss if running is None else 0.97 * running + 0.03 * loss
        after = step + 1
        if after % 20 == 0:
            spent = time.monotonic() - began
            print(f"step {after} loss {running:.4f} seconds {spent:.0f}", flush=True)
        if after % every == 0 or after == plan.steps:
            save(latest, model, tools, after)
            scores = adherence(model, plan.seed, 24)
            record = {"step": after, "loss": round(running, 4), **scores}
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
            print(" ".join(f"{k}={v:.2f}" for k, v in scores.items()), flush=True)
    save(folder / "final.pt", model, tools, plan.steps)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where checkpoints and log go")
    parser.add_argument("--every", type=int, default=300, help="steps per checkpoint")
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.folder.mkdir(parents=True, exist_ok=True)
    train(Schedule(steps=args.steps), args.folder, every=args.every)


if __name__ == "__main__":
    main()
