"""What each run quality reason means to a person, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADVICE: dict[str, str] = {
    "CLOCK_INCONSISTENT": "the server reports more time than passed: "
    "update the server, or report it",
    "CLOCK_JUMP": "the clock jumped or the machine slept: keep it awake, run again",
    "CONTROL_NOT_HONOURED": "the server did not use a control it was given: "
    "see effective_controls in the summary",
    "CPU_QUOTA_THROTTLED": "a CPU quota held the server back: raise the container's "
    "limit, or use fewer threads",
    "CPU_STEAL": "the hypervisor gave CPU time to others: use a dedicated machine, "
    "or try at a quieter hour",
    "DRIFT_SINCE_ANCHOR": "the machine became slower or faster during the sweep: "
    "let it cool, run again",
    "ENVIRONMENT_UNOBSERVED": "the server's CPU time could not be read: run Orket "
    "beside the server, or accept it with --allow-unobserved",
    "GPU_FOREIGN_PROCESS": "another program used the GPU: close it",
    "GPU_THROTTLED": "the GPU was held back by heat or power: improve its cooling, "
    "or lower its clocks",
    "HIGH_FOREIGN_CPU": "other programs used the CPU: close them, or {way_out}",
    "HIGH_ORCHESTRATION_OVERHEAD": "much of the time was spent outside the model: "
    "look for a proxy or a queue before the server",
    "HIGH_SYSTEM_LOAD": "the machine was loaded before the first call: "
    "wait until it is idle",
    "MEMORY_PRESSURE": "memory ran short: close programs, or choose a smaller model",
    "MISSING_EXPERIMENTAL_CONTROLS": "seed, threads, affinity or warm-up has no value: "
    "set it in the preset",
    "MISSING_TIMINGS": "the server left out timings it offers: update it",
    "MISSING_TOKEN_COUNTS": "the server left out token counts it offers: update it",
    "MODEL_LOADED_IN_RUN": "the model was loaded inside a timed run: keep it resident",
    "NOT_RUN": "planned and never made: the sweep stopped early; go on with --resume",
    "OTHER_MODEL_RESIDENT": "another model was loaded in the same server: unload it",
    "PROMPT_CACHE_HIT": "the server answered from its prompt cache: switch it off",
    "RUN_FAILED": "the call failed: see error_class and error_message in v1.runs",
    "SERVER_SHARED": "someone else used the server: have it to yourself",
    "SERVER_STALLED": "the server stood still: look for a stopped or starved process",
    "SWAP_ACTIVITY": "the machine was swapping: close programs, or choose a smaller "
    "model",
    "THERMAL_THROTTLE": "the CPU was too hot: improve its cooling, or use fewer "
    "threads",
}
"""Reason code -> meaning and remedy, for every reason that can pollute a run."""

UNKNOWN_REASON = "see docs/views.md"

_PROVISIONAL = "accept provisional results with --include-polluted fill"


def advise(reason: str, policy: Mapping[str, Any]) -> str:
    """What a reason means and what to do, under the run quality policy of a sweep."""
    advice = ADVICE.get(reason, UNKNOWN_REASON)
    if "{way_out}" not in advice:
        return advice
    looser = _find_looser_profiles(policy["max_foreign_cpu_share"])
    named = f"choose a looser control profile: --profile {' or '.join(looser)}"
    return advice.format(way_out=named if looser else _PROVISIONAL)


def _find_looser_profiles(foreign_cpu_share: Any) -> list[str]:
    """Known profiles that leave other programs more of the CPU, strictest first."""
    from orket.errors import OrketError
    from orket.planning.preset import known_profiles, load_profile

    shares = {}
    for name in known_profiles():
        try:
            share = load_profile(name).table.policy.get("max_foreign_cpu_share")
        except OrketError:
            continue  # A broken profile of the user's cannot be advised.
        if share is not None and share > foreign_cpu_share:
            shares[name] = share
    return sorted(shares, key=lambda name: (shares[name], name))
