"""Serve one GGUF with llama.cpp's server on a free port until stdin closes.

A process of its own, so that a crash of the engine or a leak in it cannot spoil
the measurement of the next file. The address goes to stdout as the only line.
"""

from __future__ import annotations

import sys

import xllamacpp


def main() -> None:
    """Start the server, tell its address and wait."""
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.model_alias = "orket-demo"
    params.port = 0
    params.n_ctx = 512
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    params.fit_params = False
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
