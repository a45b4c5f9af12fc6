"""llama.cpp: its protocol, any server of it, and the embedded engine."""
