"""The program that runs a llama.cpp server in a process of its own.

Orket starts it as a script; it imports nothing of Orket. It reads one JSON line of
settings from stdin, tells the server's address as one JSON line on stdout, and ends
when stdin closes: so it never outlives Orket, however Orket ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

LOG_OF_CACHE = 4
"""Verbosity at which the KV cache is logged when it is made."""


def main() -> NoReturn:
    """Serve until stdin closes; the exit code of a failed engine is its own."""
    settings = json.loads(sys.stdin.buffer.readline())
    if settings["cpus"]:
        bind_to(settings["cpus"])
    serve_wheel(settings)


def bind_to(cpus: Sequence[int]) -> None:
    """Bind this process before the engine starts its threads, which inherit it."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cpus)
    else:
        import psutil

        psutil.Process().cpu_affinity(list(cpus))


def serve_wheel(settings: dict[str, Any]) -> NoReturn:
    """Run the server that the xllamacpp wheel carries, in this very process."""
    import xllamacpp

    params = wheel_params(xllamacpp, settings)
    started_ns = time.perf_counter_ns()
    server = xllamacpp.Server(params)
    announce(
        address=server.listening_address,
        load_ns=time.perf_counter_ns() - started_ns,
        devices=list_devices(xllamacpp),
    )
    sys.stdin.buffer.read()
    # The engine's own shutdown can wait for clients; nothing here needs it.
    os._exit(0)


def wheel_params(xllamacpp: Any, settings: dict[str, Any]) -> Any:
    """The settings as the wheel takes them; what is not given stays its default."""
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.model_alias = {settings["alias"]}
    params.port = settings["port"]
    params.n_parallel = 1
    params.cache_ram_mib = 0
    params.fit_params = False
    params.endpoint_metrics = True
    params.ui = False
    params.n_ctx = settings["context_tokens"]
    if settings["threads"] is not None:
        params.cpuparams.n_threads = settings["threads"]
        params.cpuparams_batch.n_threads = settings["threads"]
    if settings["kv_cache"]:
        keys, values = kv_types(settings["kv_cache"])
        params.cache_type_k = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{keys.upper()}")
        params.cache_type_v = getattr(
            xllamacpp.ggml_type, f"GGML_TYPE_{values.upper()}"
        )
        # Its log is where the server says what its cache became.
        params.verbosity = LOG_OF_CACHE
    if has_gpu(list_devices(xllamacpp)):
        # ... and how much of the model lies on a GPU.
        params.verbosity = LOG_OF_CACHE
    if settings["batch_tokens"] is not None:
        params.n_batch = settings["batch_tokens"]
        params.n_ubatch = min(params.n_ubatch, settings["batch_tokens"])
    return params


def kv_types(kv: str) -> tuple[str, str]:
    """The types of keys and of values."""
    keys, _, values = kv.partition("/")
    return keys, values or keys


def list_devices(xllamacpp: Any) -> list[str] | None:
    """The kinds of device the engine found; None where this build cannot say."""
    try:
        return [device["type"].name for device in xllamacpp.get_device_info()]
    except (AttributeError, KeyError, TypeError, RuntimeError):
        return None


def has_gpu(devices: Iterable[str] | None) -> bool:
    """Whether a layer of a model could lie on a GPU."""
    return any(not name.endswith(("_CPU", "_ACCEL")) for name in devices or ())


def announce(address: str, load_ns: int, devices: list[str] | None) -> None:
    """Tell Orket where the server is."""
    line = json.dumps({"address": address, "load_ns": load_ns, "devices": devices})
    print(line, flush=True)


if __name__ == "__main__":
    main()
