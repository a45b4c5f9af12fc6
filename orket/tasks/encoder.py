"""Runs inside a sandbox, beside an answer's code: spells a value as one text.

Orket imports nothing of it; its source is fed to the interpreter. It keeps to what both
CPython and monty know. Each part is a letter, a number, a colon and the text of that
many characters; for a container the number counts the parts that follow. A value that
is no plain data, or that is too large, is `o0:`.
"""


def _orket_encode(value):  # type: ignore[no-untyped-def]
    coded = []
    room = [10_000, 1_000_000]
    waiting = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        inner = None
        text = ""
        if part is None:
            kind = "n"
        elif isinstance(part, bool):
            kind, text = "b", "1" if part else "0"
        elif isinstance(part, int):
            if not -(1 << 20_000) < part < 1 << 20_000:
                return "o0:"
            kind, text = "i", hex(part)
        elif isinstance(part, float):
            kind, text = "f", repr(part)
        elif isinstance(part, complex):
            kind, inner = "c", [part.real, part.imag]
        elif isinstance(part, str):
            kind, text = "s", part
        elif isinstance(part, bytes):
            kind, text = "y", part.hex()
        elif isinstance(part, (list, tuple, set, frozenset, dict)):
            if len(part) > room[0]:
                return "o0:"
            if isinstance(part, dict):
                kind, inner = "d", []
                for key, found in part.items():
                    inner.append(key)
                    inner.append(found)
            elif isinstance(part, (list, tuple)):
                kind, inner = "l" if isinstance(part, list) else "t", list(part)
            else:
                kind, inner = "e", list(part)
        else:
            return "o0:"
        room[0] -= 1
        room[1] -= len(text)
        if room[0] < 0 or room[1] < 0 or depth > 50:
            return "o0:"
        if inner is None:
            coded.append(f"{kind}{len(text)}:{text}")
        else:
            coded.append(f"{kind}{len(inner)}:")
            waiting.extend([(below, depth + 1) for below in reversed(inner)])
    return "".join(coded)
