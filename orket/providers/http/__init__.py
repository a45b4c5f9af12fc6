"""The one way to a model server: sockets, bounds, timing, failures."""
