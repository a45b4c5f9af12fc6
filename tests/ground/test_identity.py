"""Quants under one spelling, and what is refused."""

from __future__ import annotations

import pytest

from orket.providers.contract import ModelRef
from orket.providers.http.problems import IdentityMismatch
from orket.providers.identity import (
    find_unsupported,
    fits_quant,
    require_bits,
    require_quant,
    same_name,
)
from orket.records import Controls


@pytest.mark.parametrize(
    ("asked", "reported", "fits"),
    [
        ("Q4_K_M", "Q4_K_M", True),
        ("Q4_K_M", "q4_k_m", True),
        ("Q4_K_M", None, True),
        ("Q4_K_M", "unknown", True),
        ("Q4_K_M", "Q4_K_S", False),
        ("Q4_K_M", "4bit", False),
        ("4bit", "4bit", True),
        ("4bit", "8bit", False),
        ("AWQ", "Q4_K_M", False),
        # The file of a mix names the type it is nearest to.
        ("UD-Q4_K_XL", "Q4_K_M", True),
        ("UD-Q4_K_XL", "4bit", False),
        # Nothing is known against a quant of tomorrow, nor against its label.
        ("Q2_0_g64", "Q2_0", True),
        ("Q8_0@unsloth", "Q8_0", True),
        ("Q8_0@unsloth", "Q4_0", False),
    ],
)
def test_a_quant_fits_or_not(asked: str, reported: str | None, fits: bool) -> None:
    model = ModelRef("m", asked, "m")
    assert fits_quant(model, reported) is fits
    if fits:
        require_quant(model, reported, "the server")
    else:
        with pytest.raises(IdentityMismatch):
            require_quant(model, reported, "the server")


def test_bits_per_weight_tell_a_quant_that_nobody_names() -> None:
    model = ModelRef("m", "Q4_K_M", "m")
    require_bits(model, 4_900_000_000, 8_000_000_000, "the server")
    require_bits(model, None, 8_000_000_000, "the server")
    require_bits(ModelRef("m", "no-such", "m"), 1, 1_000, "the server")
    with pytest.raises(IdentityMismatch, match=r"16\.0 bits per weight"):
        require_bits(model, 16_000_000_000, 8_000_000_000, "the server")


def test_a_name_alone_is_its_latest_tag() -> None:
    assert same_name("llama3.2", "llama3.2:latest")
    assert not same_name("llama3.2:1b", "llama3.2:3b")


def test_only_controls_that_are_asked_for_can_be_unsupported() -> None:
    controls = Controls(threads="server", affinity="compact", batch_tokens=512)
    names = ("threads", "batch_tokens", "affinity", "context_tokens")
    assert find_unsupported(controls, names) == ("affinity", "batch_tokens")
