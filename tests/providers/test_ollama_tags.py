"""What tags of Ollama mean, and the names of a model's other quants."""

from __future__ import annotations

import pytest

from orket.mockserver import MockModel, MockServer, Profile
from orket.providers.contract import ServerOptions
from orket.providers.ollama.adapter import OllamaAdapter
from orket.providers.ollama.tags import USUAL, find_offers, whole_model

INSTRUCT = {"general.finetune": "Instruct", "general.size_label": "8B"}


def pulled(name: str, **shown: str) -> list[str]:
    keys = {f"general.{key}": value for key, value in shown.items()}
    return list(find_offers(name, keys).commands.values())


def test_the_levels_of_a_tag_that_says_its_quant_are_named_by_the_same_rule():
    assert pulled("llama3.1:8b-instruct-q8_0") == [
        "ollama pull llama3.1:8b-instruct-fp16",
        "ollama pull llama3.1:8b-instruct-q8_0",
        "ollama pull llama3.1:8b-instruct-q6_K",
        "ollama pull llama3.1:8b-instruct-q5_K_M",
        "ollama pull llama3.1:8b-instruct-q4_K_M",
        "ollama pull llama3.1:8b-instruct-q3_K_M",
        "ollama pull llama3.1:8b-instruct-q2_K",
    ]
    assert len(USUAL) == 7
    assert "ollama pull mistral:7b-instruct-v0.3-q2_K" in pulled(
        "mistral:7b-instruct-v0.3-q4_K_M"
    )


def test_a_size_alone_needs_the_word_of_the_header():
    assert "ollama pull llama3.1:8b-instruct-q4_K_M" in pulled(
        "llama3.1:8b", finetune="Instruct"
    )
    assert "ollama pull gemma3:4b-it-q8_0" in pulled("gemma3:4b", finetune="it")
    assert "ollama pull mixtral:8x7b-instruct-q8_0" in pulled(
        "mixtral:8x7b", finetune="Instruct"
    )


@pytest.mark.parametrize(
    ("name", "finetune"),
    [
        ("llama3.1:8b", ""),
        ("llama3.1:latest", "Instruct"),
        ("llama3.1", "Instruct"),
        ("gemma3:4b-it-qat", "it"),
        ("qwen3:30b-a3b", "Instruct"),
        ("llama3.1:8b", "some words; rm -rf"),
        ("songfy/llama3.1:8b-instruct-q8_0", "Instruct"),
    ],
)
def test_no_name_is_made_up_where_no_rule_holds(name, finetune):
    assert pulled(name, finetune=finetune) == []


def test_a_repository_has_the_quant_alone_for_a_tag():
    offers = find_offers("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", {})
    assert offers.commands["Q8_0"] == (
        "ollama pull hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q8_0"
    )
    assert offers.page == (
        "https://huggingface.co/bartowski/Llama-3.2-3B-Instruct-GGUF"
    )


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("llama3.1:latest", "https://ollama.com/library/llama3.1/tags"),
        ("songfy/llama3.1:8b", "https://ollama.com/songfy/llama3.1/tags"),
    ],
)
def test_where_all_of_them_are_listed(name, page):
    assert find_offers(name, {}).page == page


@pytest.mark.parametrize(
    ("name", "shown", "whole"),
    [
        ("llama3.1:8b", INSTRUCT, "llama3.1:8b-instruct"),
        ("llama3.1:latest", INSTRUCT, "llama3.1:8b-instruct"),
        ("llama3.1", INSTRUCT, "llama3.1:8b-instruct"),
        ("llama3.1:70b", INSTRUCT, "llama3.1:70b-instruct"),
        ("llama3.1:8b", {}, None),
        ("llama3.1:latest", {"general.finetune": "Instruct"}, None),
        ("llama3.1:mine", INSTRUCT, None),
    ],
)
def test_the_model_behind_a_short_name(name, shown, whole):
    assert whole_model(name, shown) == whole


def installed(*models: MockModel) -> dict[str, str]:
    with MockServer("ollama", Profile(models=models)) as server:
        adapter = OllamaAdapter(ServerOptions(url=server.url))
        try:
            return {ref.name: ref.model_id for ref in adapter.installed_models()}
        finally:
            adapter.close()


def test_a_short_name_joins_the_long_ones_of_the_same_model_alone():
    long = MockModel("llama3.1:8b-instruct-q8_0", "Q8_0")
    eight = 8_000_000_000
    short = MockModel("llama3.1:8b", "Q4_K_M", eight, finetune="Instruct")
    latest = MockModel("llama3.1:latest", "Q4_K_M", eight, finetune="Instruct")
    text = MockModel("llama3.1:70b", "Q4_K_M", finetune="Instruct")
    base = MockModel("other:8b", "Q4_K_M", eight, finetune="Instruct")
    assert installed(long, short, latest, text, base) == {
        "llama3.1:8b-instruct-q8_0": "llama3.1:8b-instruct",
        "llama3.1:8b": "llama3.1:8b-instruct",
        "llama3.1:latest": "llama3.1:8b-instruct",
        "llama3.1:70b": "llama3.1:70b",
        "other:8b": "other:8b",
    }
    silent = MockModel("llama3.1:8b", "Q4_K_M", eight)
    assert installed(long, silent)["llama3.1:8b"] == "llama3.1:8b"
