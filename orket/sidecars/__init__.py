"""Diagnostic tools beside a sweep: their figures are shown, and never gate anything."""

from orket.sidecars.llama_bench import SIDECARS, ModelFile, run_sidecar

__all__ = ["SIDECARS", "ModelFile", "run_sidecar"]
