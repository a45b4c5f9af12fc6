from __future__ import annotations

from pathlib import Path

import pytest

from orket.errors import ServerError, UsageError
from orket.planning.subject import (
    Subject,
    find_subject,
    is_model_name,
    match_names,
    ollama_url,
)
from orket.providers.contract import ServerOptions

NOTHING = ServerOptions()


@pytest.mark.parametrize(
    "word", ["quickstart", "llama-3.1-8b", "mine.toml", "a/b.toml"]
)
def test_a_preset_speaks_for_itself(word):
    assert find_subject(word, NOTHING) is None


def test_a_folder_and_a_file_are_run_by_the_embedded_engine(tmp_path):
    file = tmp_path / "Model-Q4_K_M.GGUF"
    file.write_bytes(b"GGUF")
    assert find_subject(str(tmp_path), NOTHING) == Subject("embedded", place=tmp_path)
    assert find_subject(str(file), NOTHING) == Subject("embedded", place=file)


def test_a_place_that_is_not_there_is_named(tmp_path):
    for word in ("./no-such-folder", str(tmp_path / "gone"), "gone.gguf"):
        with pytest.raises(UsageError, match="there is no f"):
            find_subject(word, NOTHING)
    note = tmp_path / "notes.txt"
    note.write_text("no model")
    with pytest.raises(UsageError, match="neither a folder nor a GGUF file"):
        find_subject(str(note), NOTHING)


def test_any_other_word_is_a_model_of_ollama(monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    expected = Subject("ollama", url="http://127.0.0.1:11434", model="llama3.1:8b")
    assert find_subject("llama3.1:8b", NOTHING) == expected
    given = ServerOptions(url="http://127.0.0.1:1234")
    found = find_subject("hf.co/unsloth/Qwen3-8B-GGUF", given)
    assert found is not None
    assert found.url == "http://127.0.0.1:1234"


@pytest.mark.parametrize(
    "word",
    [
        "localhost:9",
        "LOCALHOST:9/v1",
        "127.0.0.1:9",
        "[::1]:9",
        "127.0.0.2:9",
    ],
)
def test_an_address_with_a_port_is_a_url(word):
    with pytest.raises(ServerError) as failure:
        find_subject(word, NOTHING)
    assert "--url" not in str(failure.value)
    assert not is_model_name(word)
    found = find_subject(word, NOTHING, "llama-server")
    assert found == Subject("llama-server", url=f"http://{word}")


@pytest.mark.parametrize(
    "word", ["llama3.1:8", "phi:14", "localhost", "127.0.0.1", "qwen:8/x", "a::1:8"]
)
def test_a_name_with_a_tag_is_a_model(word, monkeypatch):
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    found = find_subject(word, NOTHING)
    assert found is not None
    assert found.model == word


def test_a_url_where_nothing_answers_is_a_server_that_is_down():
    with pytest.raises(ServerError, match="9"):
        find_subject("http://127.0.0.1:9", NOTHING)


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("  ", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("box:1", "http://box:1"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("[::1]", "http://[::1]:11434"),
        ("[::]:99", "http://[::1]:99"),
        ("::1", "http://[::1]:11434"),
        ('"box:5"', "http://box:5"),
        ("ada:pass:word@box", "http://ada:pass:word@box:11434"),
        ("https://ada:p%40ss@[::1]:9/x", "https://ada:p%40ss@[::1]:9/x"),
    ],
)
def test_the_host_is_read_as_ollama_reads_it(said, url):
    assert ollama_url(said) == url


@pytest.mark.parametrize(
    "said", ["box:port", "ftp://box", "box:99999", "ada:password@box:x"]
)
def test_no_address_is_told_by_the_variable_and_without_secrets(said):
    with pytest.raises(UsageError, match="OLLAMA_HOST") as caught:
        ollama_url(said)
    assert "password" not in str(caught.value)


INSTALLED = [
    "llama3.1:8b",
    "llama3.1:8b-instruct-q4_K_M",
    "llama3.1:70b",
    "llama3.1-extra:8b",
    "qwen2.5:7b",
    "qwen2.5-coder:7b",
    "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M",
    "hf.co/unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("llama3.1:8b", ["llama3.1:8b", "llama3.1:8b-instruct-q4_K_M"]),
        ("LLAMA3.1:70B", ["llama3.1:70b"]),
        ("llama3.1", INSTALLED[:3]),
        ("qwen2.5", ["qwen2.5:7b"]),
        ("hf.co/unsloth/Qwen3-8B-GGUF", INSTALLED[6:]),
        ("Qwen3-8B-GGUF", INSTALLED[6:]),
        ("Qwen3-8B-GGUF:Q4_K_M", [INSTALLED[6]]),
    ],
)
def test_a_word_means_a_model_or_a_family(wanted, found):
    assert match_names(wanted, INSTALLED) == found


def test_a_word_that_means_nothing_names_the_nearest():
    with pytest.raises(UsageError) as told:
        match_names("lama3.1:8b", INSTALLED)
    assert "did you mean llama3.1:8b?" in str(told.value) + str(told.value.hint)
    with pytest.raises(UsageError, match="no installed model") as told:
        match_names("llama3.1", [])
    assert "ollama pull" in str(told.value.hint)


def test_a_path_is_no_name(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no folder"):
        find_subject(f"{tmp_path}/models/", NOTHING)
