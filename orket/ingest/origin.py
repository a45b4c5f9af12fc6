"""What a file says of its sweep beyond its rows, and what its user adds to that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from orket.ingest.reading import BadDocument
from orket.quants import file_name, finer, split_described
from orket.records import Hardware, Policy, QuantEntry

UNKNOWN = "unknown"
"""A name that must stand in a row and that the file does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the user says of a file where the file itself does not."""

    model_id: str | None = None
    quant_tag: str | None = None
    quants: tuple[tuple[str, str], ...] = ()
    """Quants by the name of a file, of a folder above it or of a model in a file."""
    sweep_id: str | None = None
    """Sweep to join sidecar measurements to."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the import happens."""
    used: set[str] = field(default_factory=set, compare=False)
    """Names of `quants` that something went by."""

    def naming(self, path: Path, *names: str | None) -> SourceOptions:
        """These options for a file, or for what goes by these names in it.

        The name of a model or of the file itself goes before that of a folder, and the
        nearest folder before the others.
        """
        own = [str(name) for name in names if name]
        places = [str(path), path.name, *map(str, path.parents)]
        for place in (*own, *places):
            for name, tag in self.quants:
                if place in (name, str(Path(name))):
                    self.used.add(name)
                    return replace(self, quant_tag=tag)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Facts for the manifest of an imported sweep."""

    preset: str = "ingest"
    provider: str = UNKNOWN
    provider_version: str | None = None
    endpoint: str | None = None
    hardware: Hardware = field(default_factory=Hardware)
    fingerprint: str | None = None
    fingerprint_version: str | None = None
    quants: tuple[QuantEntry, ...] = ()
    tiers: tuple[tuple[str, int], ...] = ()
    """Difficulty by test."""
    policy: Policy = field(default_factory=Policy)
    """What the sweep is judged by."""
    families: tuple[tuple[str, str | None], ...] = ()
    """Family by test, where a task has one."""


def split_source_name(name: str | None) -> tuple[str, str | None]:
    """Model and quant of a file's path, a repository or a server's tag."""
    model, quant = split_described(file_name(name)) if name else (UNKNOWN, None)
    return model or UNKNOWN, quant


def identity_of(
    model: str, said: Sequence[str | None], options: SourceOptions
) -> tuple[str, str]:
    """Model and quant of rows: what the user says where the file does not.

    `said` is what the file says of the quant, the finest source first; the user's word
    may be finer. Raises BadDocument where two contradict.
    """
    tag: str = UNKNOWN
    for source in (*said, options.quant_tag):
        both = finer(source, tag) or finer(tag, source)
        if both is None:
            raise BadDocument(f"it is called {source} and {tag}", field="quant")
        tag = both
    return options.model_id or model, tag


def modified_at(path: Path) -> datetime:
    """When the file was last written: the best moment for rows that say none."""
    return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
