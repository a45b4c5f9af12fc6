"""Measurements of Orket itself. Each script says what it needs and what it costs."""
