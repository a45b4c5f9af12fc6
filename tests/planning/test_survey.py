"""What is known of quants before anything runs, from every kind of server."""

from __future__ import annotations

import pytest

from orket.machine.memory import FreeMemory
from orket.mockserver import MockModel, MockServer, Profile
from orket.planning import survey as rooms
from orket.planning.fit import FITS, GPU_AND_RAM, TOO_LARGE, UNKNOWN
from orket.planning.neutral import NEUTRAL_PRESET
from orket.planning.plan import build_plan
from orket.planning.preset import Change, load_preset, override
from orket.planning.served import fill_subject
from orket.planning.subject import Subject
from orket.planning.survey import HELD, Survey, say_unfit, survey_plan

GIB = 2**30
EIGHT = 8_000_000_000
# 32 layers, 8 KV heads of 128: 128 KiB a token, half a GiB at 4096 tokens.
SHAPE = {"layers": 32, "heads": 32, "kv_heads": 8, "width": 4096}
KV_BYTES = GIB // 2


def llama(name: str, quant: str, size: int, **more: str) -> MockModel:
    return MockModel(name, quant, EIGHT, size, **SHAPE, **more)  # type: ignore[arg-type]


LADDER = (
    llama("llama3.1:8b", "Q4_K_M", 5 * GIB, finetune="Instruct"),
    llama("llama3.1:8b-instruct-q8_0", "Q8_0", 9 * GIB),
)


def look(
    provider: str,
    profile: Profile,
    word: str | None = None,
    room: FreeMemory | None = None,
) -> Survey:
    with MockServer(provider, profile) as server:
        subject = Subject(provider, url=server.url, model=word)
        preset, _ = fill_subject(load_preset(NEUTRAL_PRESET), subject, None)
        plan = build_plan(preset, "s")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                rooms, "read_free_memory", lambda: room or FreeMemory(64 * GIB)
            )
            return survey_plan(plan)


def test_ollama_tells_size_bits_digest_and_what_a_kv_cache_takes():
    (seen,) = look("ollama", Profile(models=LADDER), "llama3.1:8b").models
    assert seen.model_id == "llama3.1:8b-instruct"
    small, large = sorted(seen.found, key=lambda found: found.need.weights_bytes or 0)
    assert small.target.ref.name == "llama3.1:8b"
    assert small.target.ref.quant_tag == "Q4_K_M"
    assert small.target.model_bytes == 5 * GIB
    assert small.bpw_milli == round(5 * GIB * 8000 / EIGHT) == 5369
    assert small.target.digest == f"sha256:{LADDER[0].digest}"
    assert small.need.kv_bytes == large.need.kv_bytes == KV_BYTES
    assert small.need.context_tokens == 4096
    assert {found.fit for found in seen.found} == {FITS}
    assert seen.reference is not None
    assert seen.reference.ref.quant_tag == "Q8_0"


def test_all_levels_that_are_not_there_are_named_at_once():
    (seen,) = look("ollama", Profile(models=LADDER), "llama3.1:8b").models
    assert [absent.command for absent in seen.absent] == [
        f"ollama pull llama3.1:8b-instruct-{level}"
        for level in ("fp16", "q6_K", "q5_K_M", "q3_K_M", "q2_K")
    ]
    # By the nominal bits of a quant: 8 billion weights of 16 bits.
    assert seen.absent[0].about_bytes == 2 * EIGHT


def test_what_does_not_fit_is_known_with_its_figures():
    room = FreeMemory(9 * GIB)
    found = look("ollama", Profile(models=LADDER), "llama3.1:8b", room)
    fits = {f.target.ref.quant_tag: f.fit for f in found.models[0].found}
    assert fits == {"Q4_K_M": FITS, "Q8_0": TOO_LARGE}
    (reason,) = say_unfit(found).values()
    # Weights, half a GiB of KV cache, and a twentieth of the weights.
    assert "needs 9.9 GiB at 4096 tokens of context, and 9.0 GiB are free" in reason
    absent = {a.quant_tag: a.fit for a in found.models[0].absent}
    assert absent["F16"] == TOO_LARGE
    assert absent["Q2_K"] == FITS
    kept = found.without({"Q8_0"}).models[0]
    assert kept.reference is not None
    assert kept.reference.ref.quant_tag == "Q4_K_M"


def test_an_idle_model_makes_room_for_another():
    with MockServer("ollama", Profile(models=LADDER, vram_share=0.5)) as server:
        subject = Subject("ollama", url=server.url, model="llama3.1:8b")
        preset, _ = fill_subject(load_preset(NEUTRAL_PRESET), subject, None)
        plan = build_plan(preset, "s")
        server.engine.load(LADDER[0])
        with pytest.MonkeyPatch.context() as patch:
            free = FreeMemory(2 * GIB, 8 * GIB)
            patch.setattr(rooms, "read_free_memory", lambda: free)
            found = survey_plan(plan)
    assert found.free == FreeMemory(2 * GIB + 5 * GIB // 2, 8 * GIB + 5 * GIB // 2)
    fits = {f.target.ref.quant_tag: f.fit for f in found.models[0].found}
    assert fits == {"Q4_K_M": FITS, "Q8_0": FITS}


def test_a_model_may_lie_in_part_on_the_gpu():
    room = FreeMemory(32 * GIB, 6 * GIB)
    found = look("ollama", Profile(models=LADDER), "llama3.1:8b", room)
    fits = {f.target.ref.quant_tag: f.fit for f in found.models[0].found}
    assert fits == {"Q4_K_M": FITS, "Q8_0": GPU_AND_RAM}


def test_a_context_beyond_what_a_model_takes_is_not_asked_for():
    profile = Profile(models=LADDER, context_tokens=2048)
    (seen,) = look("ollama", profile, "llama3.1:8b").models
    assert seen.context_tokens == 2048
    assert seen.found[0].need.kv_bytes == KV_BYTES // 2


def test_lm_studio_tells_sizes_and_no_shape():
    models = (MockModel("big@q8_0", "Q8_0", EIGHT, 9 * GIB),)
    (seen,) = look("lmstudio", Profile(models=models)).models
    (found,) = seen.found
    assert found.target.model_bytes == 9 * GIB
    assert found.target.publisher == "mock"
    assert found.bpw_milli is None
    assert found.need.kv_bytes is None
    assert found.fit == UNKNOWN
    assert seen.context_tokens == 4096


def test_a_router_tells_of_each_model_that_it_holds():
    models = (
        MockModel("m-Q8_0", "Q8_0", EIGHT, 9 * GIB),
        MockModel("m-Q4_K_M", "Q4_K_M", EIGHT, 5 * GIB),
    )
    (seen,) = look("llama-server", Profile(models=models, router=True)).models
    told = {f.target.ref.quant_tag: (f.target.model_bytes, f.fit) for f in seen.found}
    assert told == {"Q8_0": (9 * GIB, HELD), "Q4_K_M": (5 * GIB, HELD)}
    assert seen.context_tokens is None


def test_vllm_holds_its_model_and_tells_no_size():
    models = (MockModel("org/Big-7B-AWQ", "AWQ"),)
    (seen,) = look("vllm", Profile(models=models)).models
    (found,) = seen.found
    assert (found.target.model_bytes, found.bpw_milli, found.fit) == (None, None, HELD)


def test_a_server_that_says_nothing_is_told_as_such():
    found = look("openai", Profile(models=(MockModel("Big-7B-AWQ", "AWQ"),)))
    assert found.models[0].found[0].fit == UNKNOWN
    assert found.silent == ("openai says nothing of size and memory",)


def test_a_preset_hears_of_all_its_quants_that_are_not_there():
    with MockServer("ollama", Profile(models=LADDER[1:])) as server:
        preset = load_preset("llama-3.1-8b")
        preset = override(preset, [Change("provider.url", server.url)])
        (seen,) = survey_plan(build_plan(preset, "s")).models
        (unasked,) = survey_plan(build_plan(preset, "s"), ask=False).models
    assert [found.target.ref.quant_tag for found in seen.found] == ["Q8_0"]
    missing = {absent.quant_tag: absent.command for absent in seen.absent}
    assert missing["Q4_K_M"] == "ollama pull llama3.1:8b-instruct-q4_K_M"
    assert missing["Q3_K_M"] == "ollama pull llama3.1:8b-instruct-q3_K_M"
    assert len(unasked.found) == len(preset.table.models[0].quants)
    assert not unasked.absent
