"""The demo model and its task bank: training, quantizing, gates."""
