"""Output of `llama-perplexity --kl-divergence` -> a sidecar row of one quant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orket.identity import content_id
from orket.ingest.origin import (
    Origin,
    SourceOptions,
    identity_of,
    modified_at,
    split_source_name,
)
from orket.ingest.parsed import Item, Parsed
from orket.ingest.reading import BadDocument, read_text
from orket.records import SidecarRow
from orket.sidecars.perplexity_output import BadDivergence, Divergence, read_divergence

TOOL = "llama-perplexity"


def parse_llama_perplexity(path: Path, options: SourceOptions) -> Parsed:
    """The divergence of one output file.

    It joins the sweep the user names; else the file is a sweep of its own. Raises
    BadDocument when it is no such output.
    """
    text = read_text(path)
    try:
        found = read_divergence(text)
    except BadDivergence as error:
        raise BadDocument(str(error)) from None
    model, named = split_source_name(found.model_filename)
    described = split_source_name(found.model_type)[1] if found.model_type else None
    identity = identity_of(model, [named, described], options)
    sweep_id = options.sweep_id or f"{TOOL}-{content_id(text, *identity)}"
    origin = Origin(
        preset=f"ingest:{TOOL}", provider=TOOL, provider_version=found.build
    )
    return Parsed(_items(found, path, sweep_id, *identity), origin)


def _items(
    found: Divergence, path: Path, sweep_id: str, model_id: str, quant_tag: str
) -> Iterator[Item]:
    yield (
        1,
        SidecarRow(
            sweep_id=sweep_id,
            sidecar_id=content_id(sweep_id, model_id, quant_tag, TOOL, found.raw),
            recorded_at=modified_at(path),
            model_id=model_id,
            quant_tag=quant_tag,
            tool=TOOL,
            tool_version=found.build,
            profile="ingest",
            status="OK",
            test="kl",
            kld_nnats=found.kld_nnats,
            kld_error_nnats=found.kld_error_nnats,
            same_top_ppm=found.same_top_ppm,
            same_top_error_ppm=found.same_top_error_ppm,
            raw=found.raw,
        ),
    )
