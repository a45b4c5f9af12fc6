"""Adapters: one server each, one contract for all."""
