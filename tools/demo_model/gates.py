"""Serve every file of the ladder and check what the ladder promises.

The promises: the size, F16 does its tasks in each bucket, the lowest quant is
truly worse. Adherence is measured over the quickstart's bank through the chat
route of the real server, most likely token first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.demo_model.grading import passes_all

QUANTS = (
    "F16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q4_K_M",
    "IQ4_XS",
    "Q3_K_M",
    "Q3_K_S",
    "Q2_K",
)
BUCKETS = ("logic", "refactor", "mixed")
MAX_BYTES = 16_000_000
MIN_F16 = 0.90
MIN_LOSS = 0.10

Scores = dict[str, float]


@contextmanager
def served(model: Path) -> Iterator[str]:
    """Run the server in a child process and yield its address."""
    script = Path(__file__).with_name("serve.py")
    command = [sys.executable, str(script), str(model)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("the child has no pipes")
        try:
            address = child.stdout.readline().strip()
            if not address:
                raise SystemExit(f"gates: {model} could not be served")
            yield address
        finally:
            # The end of its stdin tells the server to stop.
            child.stdin.close()
            child.wait(timeout=30)


def ask(address: str, task: dict[str, Any]) -> str:
    """Send one task through the chat route and return the answer."""
    body = {
        "messages": [{"role": "user", "content": task["prompt"]}],
        "max_tokens": task["max_tokens"],
        "temperature": 0,
        "seed": 1,
        "cache_prompt": False,
    }
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        answer = json.load(reply)["choices"][0]["message"]["content"]
    return str(answer or "")


def measure(model: Path, tasks: list[dict[str, Any]], group: str) -> Scores:
    """Return the adherence of one file per group and overall."""
    hits: dict[str, list[bool]] = defaultdict(list)
    with served(model) as address:
        for task in tasks:
            ok = passes_all(ask(address, task), task["checks"])
            name = task["bucket"] if group == "bucket" else task["id"].split("-")[1]
            hits[name].append(ok)
    scores = {name: sum(oks) / len(oks) for name, oks in hits.items()}
    everything = [ok for oks in hits.values() for ok in oks]
    return {**scores, "all": sum(everything) / len(everything)}


def failures(sizes: dict[str, int], table: dict[str, Scores]) -> list[str]:
    """Return the promises that are broken."""
    broken = []
    if sum(sizes.values()) > MAX_BYTES:
        broken.append(f"the ladder has more than {MAX_BYTES} bytes")
    for bucket in BUCKETS:
        if table["F16"][bucket] < MIN_F16:
            broken.append(f"F16 is below {MIN_F16} in {bucket}")
    if table["F16"]["all"] - table["Q2_K"]["all"] < MIN_LOSS:
        broken.append(f"Q2_K is not {MIN_LOSS} below F16")
    return broken


def row(cells: list[str]) -> str:
    """Return one row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure, print the table and fail if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ladder", type=Path, help="presets/models/orket-demo")
    parser.add_argument("bank", type=Path, help="presets/tasks/quickstart.toml")
    parser.add_argument("--families", action="store_true", help="a table by family")
    args = parser.parse_args()
    tasks = tomllib.loads(args.bank.read_text())["tasks"]
    group = "family" if args.families else "bucket"
    table: dict[str, Scores] = {}
    sizes: dict[str, int] = {}
    for quant in QUANTS:
        model = args.ladder / f"orket-demo-{quant}.gguf"
        table[quant] = measure(model, tasks, group)
        sizes[quant] = model.stat().st_size
        if len(table) == 1:
            heads = ["quant", "bytes", *table[quant]]
            print(row(heads))
            print(row(["---"] * len(heads)))
        values = [f"{score:.3f}" for score in table[quant].values()]
        print(row([quant, str(sizes[quant]), *values]), flush=True)
    broken = [] if args.families else failures(sizes, table)
    for promise in broken:
        print(f"gates: {promise}", file=sys.stderr)
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
