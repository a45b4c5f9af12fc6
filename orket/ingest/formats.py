"""The formats of files that are imported: how each is told, and what reads it.

A new one is a module that reads it, and its entry here. A file is of the first format
that its text tells, else of the first that the keys of its first object tell.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orket.admission import IDENTITIES
from orket.errors import UsageError

if TYPE_CHECKING:
    from orket.ingest.origin import SourceOptions
    from orket.ingest.parsed import Parsed

ZIP_MARK = b"PK\x03\x04"
ORKET = "orket"
"""Orket's own rows, which need no reading."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format of files."""

    name: str
    reader: str | None = None
    """`module:function` of `orket.ingest`, `(Path, SourceOptions) -> Parsed`."""
    keys: tuple[frozenset[str], ...] = ()
    """Any of these sets of keys, all there, tells it."""
    text: re.Pattern[str] | None = None
    """What tells it in a file that is no JSON."""
    mark: bytes | None = None
    """How it begins where it is an archive."""
    is_of_results: bool = False
    """Whether it is in `OF_RESULTS`."""

    def has_keys(self, keys: Set[str]) -> bool:
        """Whether the keys of an object tell it."""
        return any(needed <= keys for needed in self.keys)

    def parse(self, path: Path, options: SourceOptions) -> Parsed:
        """Read a file of it. Errors as of its reader."""
        if self.reader is None:
            raise ValueError(f"files of {self.name} are not parsed")
        module, _, function = self.reader.partition(":")
        read: Callable[[Path, SourceOptions], Parsed] = getattr(
            importlib.import_module(f"orket.ingest.{module}"), function
        )
        return read(path, options)


def _keys(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(each.split()) for each in sets)


FORMATS = (
    Format(
        "inspect",
        "inspect_ai:parse_inspect",
        _keys(*(f"version status eval {key}" for key in ("plan", "samples", "stats"))),
        mark=ZIP_MARK,
        is_of_results=True,
    ),
    Format(
        "promptfoo",
        "promptfoo:parse_promptfoo",
        _keys("promptIdx testIdx", "evalId results", "results shareableUrl"),
        is_of_results=True,
    ),
    Format(ORKET, keys=_keys("sweep_id", *IDENTITIES.values())),
    Format(
        "baseline",
        "legacy_baseline:parse_baselines",
        _keys("baseline_metadata", "gold_telemetry", "history"),
    ),
    Format(
        "determinism",
        "determinism:parse_determinism",
        _keys("test_runs", "details hashes"),
    ),
    Format(
        "lm-eval",
        "lm_eval:parse_lm_eval",
        _keys("filtered_resps", "resps", "results configs"),
        is_of_results=True,
    ),
    Format(
        "guidellm",
        "guidellm:parse_guidellm",
        _keys(
            *(
                f"benchmarks {key}"
                for key in ("args", "request_loader", "run_stats", "config")
            )
        ),
        is_of_results=True,
    ),
    Format(
        "llama-perplexity",
        "llama_perplexity:parse_llama_perplexity",
        text=re.compile(
            r"^chunk\s+PPL\s+ln\(PPL|^=+ KL divergence statistics =+|^Mean +KLD:",
            re.MULTILINE,
        ),
    ),
    Format(
        "llama-bench",
        "llama_bench:parse_llama_bench",
        _keys("build_commit", "model_filename", "n_prompt n_gen"),
        re.compile(
            r"^build_commit,"
            r"|^[\s>]*\|[ *]*model[ *]*\|"
            r"|^(?:CREATE TABLE|INSERT INTO)\b.*\b(?:llama_bench|test)\b",
            re.MULTILINE | re.IGNORECASE,
        ),
    ),
)
"""In the order in which they are tried."""

NAMES = tuple(each.name for each in FORMATS)
OF_RESULTS = frozenset(each.name for each in FORMATS if each.is_of_results)
"""The formats whose files are results of a model, and may be of several quants."""


def format_named(name: str) -> Format:
    """The format of that name. Raises UsageError for one that is none."""
    for each in FORMATS:
        if each.name == name:
            return each
    raise UsageError(f"no format {name!r}", f"there are: {', '.join(NAMES)}")
