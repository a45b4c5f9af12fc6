"""From a preset to a plan: what `orket plan` needs; runs nothing."""
