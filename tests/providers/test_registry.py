"""Adapters by name, and the worked example of docs/adding-a-provider.md."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orket.errors import UsageError
from orket.providers.contract import Generation, ModelRef, ServerOptions
from orket.providers.http.problems import IdentityMismatch, ProviderError
from orket.providers.registry import (
    BUILT_IN,
    create_adapter,
    provider_names,
)
from orket.records import Controls
from tests.places import ROOT
from tests.scripted import ScriptedServer, respond

GUIDE = ROOT / "docs/adding-a-provider.md"
POLLY = ModelRef("polly", "Q8_0", "polly")


def install(folder: Path, name: str, entry_points: str, module: str = "") -> None:
    """What pip leaves behind of a package with one module."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[orket.providers]\n{entry_points}\n")
    if module:
        (folder / f"{name}.py").write_text(module)


@pytest.fixture
def parrot(tmp_path, monkeypatch):
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    toml = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    line = toml.rpartition('"orket.providers"]\n')[2].replace('"', "")
    install(tmp_path, "orket_parrot", line, code)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("orket_parrot", None)


def test_the_example_of_the_guide_is_found_by_its_entry_point(parrot):
    assert "parrot" in provider_names()
    with ScriptedServer(respond(200, {"version": "0.9"})) as server:
        adapter = create_adapter("parrot", ServerOptions(url=server.url))
        info = adapter.describe()
        adapter.close()
    assert (info.provider, info.version, info.locality) == ("parrot", "0.9", "loopback")


def test_the_example_of_the_guide_measures(parrot):
    held = respond(200, {"name": "polly", "quant": "Q8_0"})
    said = {"text": "hello", "tokens": {"in": 4, "out": 2}, "ms": {"prefill": 1.5}}
    with ScriptedServer(held, respond(200, said), respond(503, {})) as server:
        adapter = create_adapter("parrot", ServerOptions(url=server.url))
        loaded = adapter.load(POLLY, Controls(seed=7))
        request = Generation(POLLY, "hi", 8, Controls(seed=7))
        facts, failed = adapter.generate(request), adapter.generate(request)
        adapter.close()
    assert loaded.unsupported == ("seed",)
    assert (facts.outcome, facts.answer_text) == ("OK", "hello")
    assert (facts.prompt_tokens, facts.completion_tokens) == (4, 2)
    assert (facts.prefill_ns, facts.decode_ns) == (1_500_000, None)
    assert (failed.outcome, failed.error_class) == ("FAILED", "HTTP_503")


def test_the_streaming_of_the_guide_reads_a_stream(parrot):
    import orket_parrot  # type: ignore[import-not-found]

    code = re.findall(
        r"```python\n(def read_record.*?)```", GUIDE.read_text(), re.DOTALL
    )
    exec(code[0], orket_parrot.__dict__)
    orket_parrot.ParrotCall.read_record = orket_parrot.read_record
    lines = b'{"text": "hel"}\n{"text": "lo", "done": true, "tokens": {"out": 2}}\n'
    for body, outcome in ((lines, "OK"), (lines[:16], "FAILED")):
        with ScriptedServer(respond(200, body, "application/x-ndjson")) as server:
            adapter = orket_parrot.ParrotAdapter(ServerOptions(url=server.url))
            call = orket_parrot.ParrotCall(
                Generation(POLLY, "hi", 8, Controls()), adapter._http
            )
            call.stream("/say", {}, "ndjson")
            facts = call.facts()
            adapter.close()
        assert facts.outcome == outcome
        assert facts.answer_text == ("hello" if outcome == "OK" else "hel")
        assert facts.ttft_ns is not None


def test_the_example_of_the_guide_refuses_another_model(parrot):
    with ScriptedServer(respond(200, {"name": "jack"}), respond(500, {})) as server:
        adapter = create_adapter("parrot", ServerOptions(url=server.url))
        with pytest.raises(IdentityMismatch, match="jack"):
            adapter.load(POLLY, Controls())
        with pytest.raises(ProviderError, match="version"):
            adapter.describe()
        adapter.close()


@pytest.mark.parametrize(
    ("word", "meant"),
    [("llama.cpp", "llama-server"), ("LlamaCpp", "llama-server"), ("ollma", "ollama")],
)
def test_a_server_by_the_word_people_have_for_it_is_known(word, meant):
    with pytest.raises(UsageError, match=f"did you mean {meant}[?] known are"):
        create_adapter(word)


def test_an_unknown_name_lists_the_known_ones(parrot):
    with pytest.raises(UsageError, match="did you mean parrot") as caught:
        create_adapter("parot")
    for name in BUILT_IN:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("entry_points", "reason"),
    [
        ("broken = no_such_module_anywhere:Adapter", "cannot be loaded"),
        ("broken = json:__name__", "not callable"),
    ],
)
def test_a_broken_package_is_named(tmp_path, monkeypatch, entry_points, reason):
    install(tmp_path, "broken_thing", entry_points)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=reason) as caught:
        create_adapter("broken")
    assert "broken_thing" in str(caught.value)


def test_a_built_in_name_cannot_be_taken_over(tmp_path, monkeypatch):
    install(tmp_path, "thief", "ollama = json:loads")
    monkeypatch.syspath_prepend(tmp_path)
    assert create_adapter("ollama").name == "ollama"


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_adapter_that_ships_can_be_made(name):
    adapter = create_adapter(name)
    assert adapter.name == name
    adapter.close()


def test_naming_the_providers_loads_none_of_them():
    program = (
        "import sys; from orket.providers.registry import provider_names;"
        "provider_names(); print([m for m in ('httpx', 'xllamacpp', 'psutil')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


OFFERED = {
    module: re.findall(r"`(\w+)`", offers)
    for module, offers in re.findall(
        r"^\| `(orket[\w.]+)` \| (.*) \|$", GUIDE.read_text(), re.MULTILINE
    )
}


def test_what_a_plug_in_may_import_is_there():
    assert len(OFFERED) >= 10
    for module, names in OFFERED.items():
        found = importlib.import_module(module)
        assert names
        assert [name for name in names if not hasattr(found, name)] == []


def test_the_example_of_the_guide_keeps_to_it():
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    used = re.findall(r"^from (orket[\w.]+) import", code, re.MULTILINE)
    assert len(used) >= 5
    assert set(used) <= set(OFFERED)
