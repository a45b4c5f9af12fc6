"""What a server's words mean: figures, facts, chat, counters."""
