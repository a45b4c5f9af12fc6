"""One declaration of how a server is reached: preset, command line, adapter."""

from __future__ import annotations

import re
from typing import Any

import pytest
from click.testing import CliRunner

from orket.cli.main import cli
from orket.planning.preset_file import ProviderTable
from orket.providers.options import OPTION_KEYS, ServerOptions, build_options
from tests.places import ROOT

KEYS = {key.name for key in OPTION_KEYS}
NOT_OPTIONS = {"name", "timeout_seconds"}
"""Keys of `[provider]` that choose an adapter or a deadline, not a way to a server."""


def test_every_key_of_the_preset_reaches_the_adapter():
    assert set(ProviderTable.model_fields) == KEYS | NOT_OPTIONS
    said: dict[str, Any] = {
        key.name: True if key.is_switch else 7 if key.is_number else f"a-{key.name}"
        for key in OPTION_KEYS
    }
    options = ProviderTable(name="ollama", **said).options()
    assert {name: getattr(options, name) for name in KEYS} == said


def test_what_is_not_said_is_the_default():
    assert ProviderTable(name="ollama").options() == ServerOptions()
    assert build_options({"url": None, "streaming": False}).streaming is False


@pytest.mark.parametrize("verb", ["run", "plan", "canary", "determinism"])
def test_every_key_with_a_flag_is_an_option_of_the_verbs_that_call(verb):
    shown = CliRunner().invoke(cli, [verb, "--help"]).output
    for key in OPTION_KEYS:
        for flag in (key.flag or "").split("/"):
            assert flag in shown


def test_a_probe_has_the_options_it_takes_to_ask():
    shown = CliRunner().invoke(cli, ["providers", "probe", "--help"]).output
    for key in OPTION_KEYS:
        if key.flag:
            assert (key.flag in shown) is key.asks, key.name


def test_the_page_on_presets_has_every_key():
    page = (ROOT / "docs/presets.md").read_text()
    (row,) = re.findall(r"^\| `\[provider\]` \|(.*)$", page, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == KEYS | NOT_OPTIONS
