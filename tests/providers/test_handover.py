"""Lines that start a quant as it was measured, and what no line may carry."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from orket.providers.handover import HandOver, Measured, hand_over
from orket.providers.serving.shells import POSIX, POWERSHELL, shell_line


def start(provider: str, **facts: object) -> HandOver:
    base: dict[str, object] = {"model_id": "m", "quant_tag": "Q4_K_M"}
    return hand_over(Measured(provider=provider, **(base | facts)))  # type: ignore[arg-type]


def test_llama_server_gets_what_was_measured_and_nothing_else():
    measured = {
        "context": "8192",
        "kv_cache": "q8_0/f16",
        "threads": "6",
        "batch": "1024",
        "gpu": "all",
        "seed": "7",
    }
    found = start("embedded", file="/models/a.gguf", settings=measured)
    assert found.commands == [
        shlex.split(
            "llama-server -m /models/a.gguf -c 8192 -np 1 -ctk q8_0 -ctv f16 -t 6 "
            "-tb 6 -b 1024 -ub 512 -ngl 999"
        )
    ]
    assert found.used == {"context", "kv_cache", "threads", "batch", "gpu"}
    bare = start("llama-server", file="/models/a.gguf", settings={"gpu": "part"})
    assert bare.commands == [["llama-server", "-m", "/models/a.gguf"]]
    assert bare.used == frozenset()


def test_a_file_that_is_not_recorded_is_left_open_and_said():
    found = start("llama-server", endpoint="http://h:1", settings={"context": "512"})
    assert found.commands == [["llama-server", "-m", "FILE", "-c", "512", "-np", "1"]]
    assert "not recorded (it answered at http://h:1)" in found.notes[0]


def test_ollama_runs_the_tag_where_no_setting_differs_and_else_a_modelfile():
    plain = start("ollama", name="llama3.1:8b-q4_K_M")
    assert plain.commands == [["ollama", "run", "llama3.1:8b-q4_K_M"]]
    assert plain.modelfile is None
    measured = {"context": "4096", "threads": "4", "temperature": "0.7", "gpu": "none"}
    found = start("ollama", name="llama3.1:8b-q4_K_M", settings=measured)
    assert found.modelfile == (
        "FROM llama3.1:8b-q4_K_M\nPARAMETER num_ctx 4096\nPARAMETER num_thread 4\n"
        "PARAMETER temperature 0.7\nPARAMETER num_gpu 0\n"
    )
    assert found.commands == [
        ["ollama", "create", "m-q4_k_m-measured", "-f", "Modelfile"],
        ["ollama", "run", "m-q4_k_m-measured"],
    ]


def test_lm_studio_and_vllm_by_their_names():
    lms = start("lmstudio", name="a/b@q4_k_m", settings={"context": "2048"})
    assert lms.commands == [["lms", "load", "a/b@q4_k_m", "--context-length", "2048"]]
    off = start("lmstudio", name="a/b", settings={"gpu": "none"})
    assert off.commands == [["lms", "load", "a/b", "--gpu", "off"]]
    vllm = start("vllm", name="org/m", settings={"context": "2048", "kv_cache": "fp8"})
    assert vllm.commands == [
        shlex.split("vllm serve org/m --max-model-len 2048 --kv-cache-dtype fp8")
    ]
    assert "options are not recorded" in vllm.notes[0]


def test_a_recorded_command_is_handed_on_word_by_word():
    command = "vllm serve '/m o/x' --port {port} --api-key [secret]"
    found = start("vllm", name="x", serve_command=command)
    assert found.commands == [shlex.split(command)]
    assert found.notes == (
        "put a port of yours in the place of {port}",
        "a secret is not kept: put it in the place of [secret]",
    )


def test_what_is_not_known_is_said_and_gets_no_line():
    for provider, said in (
        ("ollama", "what its server calls it is not recorded"),
        ("openai", "how its server was started is not recorded"),
        ("tgi", "how its server was started is not recorded"),
    ):
        found = start(provider)
        assert found.commands == []
        assert said in found.notes[0]


@pytest.mark.parametrize("name", ["--rm", "a\nb", "a\x1b[2Jb", "\u202eb"])
def test_a_name_that_could_act_gets_no_line(name):
    for provider in ("ollama", "lmstudio", "vllm"):
        assert start(provider, name=name, settings={"context": "1"}).commands == []
        assert start(provider, name=name).modelfile is None
    assert start("embedded", file=name).commands == []


def test_a_setting_that_is_no_number_is_left_out():
    found = start("ollama", name="m", settings={"context": "1\nFROM evil"})
    assert found.modelfile is None


HOSTILE = [
    "it's; rm -rf ~",
    "$(touch x) `id` %PATH% !x!",
    "a & b | c > d",
    "{a,b} [x]* ~ #",
    "\u2019; calc; \u2018",
    "C:\\a b\\c.gguf",
]


@pytest.mark.parametrize("word", HOSTILE)
def test_a_shell_reads_the_same_words_again(word):
    line = shell_line(["printf", "%s", word], POSIX)
    assert line is not None
    assert shlex.split(line) == ["printf", "%s", word]
    sh = shutil.which("sh")
    assert sh is not None
    said = subprocess.run([sh, "-c", line.encode()], capture_output=True, check=True)
    assert said.stdout.decode() == word


def test_powershell_gets_strings_that_hold_everything():
    assert (
        shell_line(
            ["llama-server", "-m", "C:\\a b\\it's.gguf", "-c", "512"], POWERSHELL
        )
        == "llama-server -m 'C:\\a b\\it''s.gguf' -c 512"
    )
    assert shell_line(["a b", "\u2019; calc"], POWERSHELL) == (
        "& 'a b' '\u2019\u2019; calc'"
    )
    for word in ("$(x)", "a;b", "{port}", "@x", "a,b", "-", "--%", "#x", "a`b"):
        assert shell_line(["x", word], POWERSHELL) == f"x '{word}'"
    assert shell_line(["x", 'a"b'], POWERSHELL) is None
    assert shell_line(["x", "a\nb"], POSIX) is None
