"""The machine: who it is, what it does during a run, and how it can be controlled."""
