"""Tags of Ollama: which model one means, and what the model's other quants are called.

The library builds a tag of the size, the flavour and the quant: `8b-instruct-q4_K_M`.
A size alone is one of these under a short name, and the model's header says which
flavour. A repository of Hugging Face has the quant alone for a tag. Where neither rule
holds no name is made up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orket.providers.contract import Offers
from orket.providers.reading.figures import text
from orket.quants import ollama_spelling, split_name

USUAL = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
"""Quants that most models of both places have, the most precise first."""
FINETUNE_KEY, SIZE_KEY = "general.finetune", "general.size_label"
_SIZE = re.compile(r"(?:\d{1,3}x)?[ea]?\d{1,4}(?:\.\d{1,2})?[bm]", re.IGNORECASE)
_FLAVOUR = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")
_HUB = ("hf.co/", "huggingface.co/")


def find_offers(name: str, shown: Mapping[str, Any]) -> Offers:
    """What of an installed model can be fetched; `shown` is its `model_info`."""
    place, base, tag = _split(name)
    if name.casefold().startswith(_HUB):
        repository = f"{place}{base}"
        page = f"https://huggingface.co/{repository.partition('/')[2]}"
        return Offers(_commands({q: f"{repository}:{q}" for q in USUAL}), page)
    if place not in ("", "library/"):
        # Anybody's own names follow no rule.
        return Offers(page=f"https://ollama.com/{place}{base}/tags")
    stem = _stem(tag, shown)
    page = f"https://ollama.com/library/{base}/tags"
    if stem is None:
        return Offers(page=page)
    begin = f"{place}{base}:{stem}-" if stem else f"{place}{base}:"
    names = {quant: f"{begin}{ollama_spelling(quant)}" for quant in USUAL}
    return Offers(_commands(names), page)


def whole_model(name: str, shown: Mapping[str, Any]) -> str | None:
    """The model behind a short name as its longer names call it.

    `llama3.1:8b` is llama3.1:8b-instruct where its header says Instruct; for
    `llama3.1:latest` the header has to say its size too. None where it does not.
    """
    place, base, tag = _split(name)
    size = text(shown.get(SIZE_KEY)) if tag in ("", "latest") else tag
    flavour = _flavour(shown)
    if size is None or flavour is None or not _SIZE.fullmatch(size):
        return None
    return f"{place}{base}:{size.lower()}-{flavour}"


def says_quant(name: str) -> bool:
    """Whether a name says the quant itself, and so needs nothing more."""
    return split_name(name)[1] is not None


def same_repository(one: str, other: str) -> bool:
    """Whether two names differ in their tags alone."""
    return _split(one)[:2] == _split(other)[:2]


def _stem(tag: str, shown: Mapping[str, Any]) -> str | None:
    """What stands before the quant in the tags of this model; None if unknown."""
    stem, quant = split_name(tag)
    if quant is not None:
        # A tag that is nothing but a quant comes back whole.
        return "" if stem == tag else stem
    flavour = _flavour(shown)
    if flavour is None or not _SIZE.fullmatch(tag):
        return None
    return f"{tag}-{flavour}"


def _flavour(shown: Mapping[str, Any]) -> str | None:
    said = (text(shown.get(FINETUNE_KEY)) or "").casefold()
    return said if _FLAVOUR.fullmatch(said) else None


def _split(name: str) -> tuple[str, str, str]:
    """Namespace with its slash, model, tag; a port belongs to the namespace."""
    place, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return place + slash, base, tag


def _commands(names: Mapping[str, str]) -> dict[str, str]:
    return {quant: f"ollama pull {name}" for quant, name in names.items()}
