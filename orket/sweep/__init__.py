"""From a preset to recorded runs: resolve, plan, execute, resume."""
