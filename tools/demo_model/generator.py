"""Synthetic tasks for the demo model: one source for training, hold-out and bank.

Everything here is plain Python on purpose. The tests import this module to prove
that no prompt of the shipped bank was ever trained on, and they must not need
torch for that.

A family is easy for a model of two million weights only if each output byte can
be found by looking at few places of the prompt. Hence the rules that look
arbitrary: names in one prompt start with different letters, the numbers of one
prompt are all different, long answers spell out their intermediate steps.
"""

from __future__ import annotations

import json
import random
import string
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HOLDOUT_MODULUS = 20
BUCKETS = ("logic", "refactor", "mixed")

VOWELS = "aeiou"
CONSONANTS = "bcdfghjklmnprstvwz"
FUNCTIONS = ("abs", "int", "max", "log", "sum", "len")
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
ARITHMETIC = ("+", "-", "*", "/")


@dataclass(frozen=True)
class Check:
    """One requirement on an answer, in the words of the task bank."""

    kind: str
    expected: str | float


@dataclass(frozen=True)
class Example:
    """A prompt with its one answer, how it is checked, and typical mistakes."""

    family: str
    bucket: str
    tier: int
    prompt: str
    answer: str
    checks: tuple[Check, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """What a family function returns; no checks means an exact answer."""

    prompt: str
    answer: str
    wrong: tuple[str, ...]
    checks: tuple[Check, ...] = ()


def is_held_out(prompt: str) -> bool:
    """Decide by the prompt alone, so that the split needs no stored list."""
    return zlib.crc32(prompt.encode()) % HOLDOUT_MODULUS == 0


def syllable(rng: random.Random) -> str:
    """Return a consonant and a vowel."""
    return rng.choice(CONSONANTS) + rng.choice(VOWELS)


def names(rng: random.Random, count: int) -> list[str]:
    """Return identifiers with different first letters, so none is ambiguous."""
    found = []
    for first in rng.sample(CONSONANTS, count):
        name = first + rng.choice(VOWELS)
        # "rename ka to to" would be a riddle.
        if name == "to" or rng.random() < 0.5:
            name += syllable(rng)
        found.append(name)
    return found


# --- logic -----------------------------------------------------------------


def letter(value: bool) -> str:
    """Spell a truth value with one byte."""
    return "T" if value else "F"


def truth_step(rng: random.Random) -> tuple[str, bool]:
    """Return a one-operator expression over T and F and its value."""
    left, right = rng.random() < 0.5, rng.random() < 0.5
    kind = rng.choice(("and", "or", "not"))
    if kind == "not":
        return f"not {letter(left)}", not left
    value = (left and right) if kind == "and" else (left or right)
    return f"{letter(left)} {kind} {letter(right)}", value


def truth(rng: random.Random, tier: int) -> Draft:
    """Evaluate named truth expressions and combine them, step by step."""
    labels = rng.sample(string.ascii_lowercase, max(2, tier))
    steps = [truth_step(rng) for _ in labels]
    given = "; ".join(f"{n} = {e}" for n, (e, _) in zip(labels, steps, strict=True))
    worked = "; ".join(
        f"{n} = {e} = {letter(v)}" for n, (e, v) in zip(labels, steps, strict=True)
    )
    values = [v for _, v in steps]
    if tier == 1:
        flipped = worked[:-1] + letter(not values[-1])
        return Draft(f"eval: {given}", worked, (flipped, given))
    joiner = rng.choice(("and", "or"))
    result = all(values) if joiner == "and" else any(values)
    final = f" {joiner} ".join(letter(v) for v in values) + f" = {letter(result)}"
    return Draft(
        f"eval: {given}; {f' {joiner} '.join(labels)}",
        f"{worked}; {final}",
        (f"{worked}; {final[:-1]}{letter(not result)}", worked),
        (Check("regex", f"^.*; {final}$"),),
    )


def compare(rng: random.Random, tier: int) -> Draft:
    """Put the right sign between the two numbers of each pair."""
    count = {1: 2, 2: rng.randint(3, 4), 3: rng.randint(6, 7)}[tier]
    values = rng.sample(range(10, 100), 2 * count)
    pairs = list(zip(values[::2], values[1::2], strict=True))
    right = [f"{a}{'<' if a < b else '>'}{b}" for a, b in pairs]
    flip = str.maketrans("<>", "><")
    at = rng.randrange(count)
    one_off = [s.translate(flip) if i == at else s for i, s in enumerate(right)]
    return Draft(
        "compare: " + ", ".join(f"{a} {b}" for a, b in pairs),
        ", ".join(right),
        (", ".join(one_off), ", ".join(right[:-1])),
    )


def sort(rng: random.Random, tier: int) -> Draft:
    """Sort different digits or letters."""
    pool = rng.choice((string.digits, string.ascii_lowercase))
    count = {1: rng.randint(4, 5), 2: rng.randint(6, 7), 3: rng.randint(8, 9)}[tier]
    items = rng.sample(pool, count)
    while items == sorted(items):
        rng.shuffle(items)
    return Draft(
        "sort: " + " ".join(items),
        " ".join(sorted(items)),
        (" ".join(items), " ".join(sorted(items)[1:])),
    )


def running_sum(rng: random.Random, tier: int) -> Draft:
    """Add different digits from left to right, writing each step."""
    count = {1: 4, 2: 5, 3: rng.randint(6, 7)}[tier]
    digits = rng.sample(range(1, 10), count)
    total, steps = digits[0], []
    for digit in digits[1:]:
        steps.append((total, digit, total + digit))
        total += digit
    text = [f"{a}+{b}={c}" for a, b, c in steps]
    a, b, c = steps[-1]
    return Draft(
        "sum: " + " ".join(map(str, digits)),
        "; ".join(text),
        ("; ".join([*text[:-1], f"{a}+{b}={c + 1}"]), "; ".join(text[:-1])),
        (Check("contains", text[-1]),),
    )


def largest(rng: random.Random, tier: int) -> Draft:
    """Name the largest of some two-digit numbers."""
    values = rng.sample(range(10, 100), 2 + tier)
    best = max(values)
    return Draft(
        "max: " + " ".join(map(str, values)),
        str(best),
        (str(min(values)), "none"),
        (Check("numeric", float(best)),),
    )


# --- refactor --------------------------------------------------------------


def expression(rng: random.Random, atoms: list[str], operators: list[str]) -> str:
    """Join the atoms with the operators, blanks around them."""
    parts = [atoms[0]]
    for operator, atom in zip(operators, atoms[1:], strict=True):
        parts += [operator, atom]
    return " ".join(parts)


def code_line(rng: random.Random, tier: int) -> tuple[str, str, list[str]]:
    """Return the target, one name used once or twice, and all operands in order.

    The other operands are all different, so that what comes next in a copy of the
    line follows from the last few bytes written.
    """
    terms = {1: rng.randint(2, 3), 2: 4, 3: rng.randint(5, 6)}[tier]
    uses = 2 if terms > 3 and rng.random() < 0.6 else 1
    target, marker, *others = names(rng, 2 + terms - uses)
    values = iter(rng.sample(range(1, 100), terms))
    plain = [n if rng.random() < 0.7 else str(next(values)) for n in others]
    first = rng.randrange(terms)
    places = {first} if uses == 1 else {first, (first + terms // 2) % terms}
    remaining = iter(plain)
    atoms = [marker if i in places else next(remaining) for i in range(terms)]
    return target, marker, atoms


def rename(rng: random.Random, tier: int) -> Draft:
    """Give one variable of a code line a new name."""
    target, old, atoms = code_line(rng, tier)
    taken = {a[0] for a in (target, *atoms)}
    new = rng.choice([n for n in names(rng, len(CONSONANTS)) if n[0] not in taken])
    operators = [rng.choice(ARITHMETIC) for _ in atoms[1:]]
    before = f"{target} = {expression(rng, atoms, operators)}"
    renamed = [new if a == old else a for a in atoms]
    after = f"{target} = {expression(rng, renamed, operators)}"
    return Draft(f"rename {old} to {new}: {before}", after, (before, f"{new} = {old}"))


def swap_operator(rng: random.Random, tier: int) -> Draft:
    """Replace one operator of a code line everywhere."""
    target, _, atoms = code_line(rng, tier)
    old, new = rng.sample(ARITHMETIC, 2)
    operators = [rng.choice((old, old, *ARITHMETIC)) for _ in atoms[1:]]
    operators[rng.randrange(len(operators))] = old
    before = f"{target} = {expression(rng, atoms, operators)}"
    swapped = [new if o == old else o for o in operators]
    after = f"{target} = {expression(rng, atoms, swapped)}"
    return Draft(
        f"replace {old} with {new}: {before}", after, (before, f"{target} = {new}")
    )


def wrap(rng: random.Random, tier: int) -> Draft:
    """Put a call around every use of one variable."""
    target, name, atoms = code_line(rng, tier)
    function = rng.choice(FUNCTIONS)
    operators = [rng.choice(ARITHMETIC) for _ in atoms[1:]]
    before = f"{target} = {expression(rng, atoms, operators)}"
    call = f"{function}({name})"
    wrapped = [call if a == name else a for a in atoms]
    after = f"{target} = {expression(rng, wrapped, operators)}"
    return Draft(
        f"wrap {name} in {function}: {before}",
        after,
        (before, call),
        (Check("contains", call), Check("exact", after)),
    )


def flip(rng: random.Random, tier: int) -> Draft:
    """Exchange the two sides of every comparison, mirroring its operator."""
    count = {1: 1, 2: 2, 3: 3}[tier]
    operands = names(rng, 2 * count)
    operators = [rng.choice(tuple(MIRRORED)) for _ in range(count)]
    joiner = f" {rng.choice(('and', 'or'))} "
    sides = list(zip(operands[::2], operators, operands[1::2], strict=True))
    before = joiner.join(f"{a} {o} {b}" for a, o, b in sides)
    after = joiner.join(f"{b} {MIRRORED[o]} {a}" for a, o, b in sides)
    return Draft(
        f"flip: if {before}:", f"if {after}:", (f"if {before}:", f"if {after}")
    )


# --- mixed -----------------------------------------------------------------


def to_json(rng: random.Random, tier: int) -> Draft:
    """Turn key=value pairs into a JSON object."""
    count = {1: 2, 2: 3, 3: 4}[tier]
    keys = names(rng, count)
    record: dict[str, int | str] = {}
    for key in keys:
        text = rng.random() < 0.4
        record[key] = names(rng, 1)[0] if text else rng.randint(1, 99)
    answer = json.dumps(record)
    short = json.dumps(dict(list(record.items())[:-1]))
    return Draft(
        "json: " + ", ".join(f"{k}={v}" for k, v in record.items()),
        answer,
        (short, answer[:-1]),
        (Check("json_equal", answer),),
    )


def csv_schema(header: list[str]) -> str:
    """Return the JSON schema of a table with a number and a text column."""
    row = {
        "type": "object",
        "required": header,
        "properties": {header[0]: {"type": "integer"}, header[1]: {"type": "string"}},
    }
    return json.dumps({"type": "array", "items": row})


def csv_to_json(rng: random.Random, tier: int) -> Draft:
    """Turn a small table into a JSON list of objects."""
    header = names(rng, 2)
    numbers = rng.sample(range(1, 100), tier)
    rows = list(zip(numbers, names(rng, tier), strict=True))
    records = [dict(zip(header, row, strict=True)) for row in rows]
    lines = [",".join(header), *(f"{a},{b}" for a, b in rows)]
    answer = json.dumps(records)
    return Draft(
        "csv: " + "|".join(lines),
        answer,
        (json.dumps(records[:-1]), answer[:-1]),
        (Check("json_equal", answer), Check("json_schema", csv_schema(header))),
    )


def backwards(rng: random.Random, tier: int) -> Draft:
    """Reverse a string of different letters, or the words of a list."""
    if rng.random() < 0.5:
        count = {1: rng.randint(3, 4), 2: rng.randint(5, 6), 3: rng.randint(7, 9)}
        items, blank = names(rng, count[tier]), " "
    else:
        count = {1: rng.randint(5, 7), 2: rng.randint(8, 10), 3: rng.randint(11, 14)}
        items, blank = rng.sample(string.ascii_lowercase, count[tier]), ""
    answer = blank.join(reversed(items))
    return Draft(
        "reverse: " + blank.join(items),
        answer,
        (blank.join(items), blank.join(list(reversed(items))[:-1])),
    )


def extract(rng: random.Random, tier: int) -> Draft:
    """Look up the number that belongs to one key."""
    count = {1: 3, 2: 4, 3: 6}[tier]
    keys = names(rng, count)
    values = rng.sample(range(100, 1000), count)
    at, other = rng.sample(range(count), 2)
    return Draft(
        f"get {keys[at]}: "
        + ", ".join(f"{k}={v}" for k, v in zip(keys, values, strict=True)),
        str(values[at]),
        (str(values[other]), keys[at]),
        (Check("numeric", float(values[at])),),
    )


@dataclass(frozen=True)
class Family:
    """A task family, its bucket and its share of the training batches."""

    bucket: str
    make: Callable[[random.Random, int], Draft]
    weight: float


FAMILIES: dict[str, Family] = {
    "truth": Family("logic", truth, 1.0),
    "compare": Family("logic", compare, 1.0),
    "sort": Family("logic", sort, 1.2),
    "sum": Family("logic", running_sum, 1.4),
    "max": Family("logic", largest, 0.8),
    "rename": Family("refactor", rename, 1.2),
    "swap": Family("refactor", swap_operator, 1.0),
    "wrap": Family("refactor", wrap, 1.0),
    "flip": Family("refactor", flip, 1.2),
    "json": Family("mixed", to_json, 1.0),
    "csv": Family("mixed", csv_to_json, 1.2),
    "reverse": Family("mixed", backwards, 1.3),
    "extract": Family("mixed", extract, 0.7),
}


# Halfway these families lagged behind the others; from here on they get more.
LATE_STEP = 1800
LATE_WEIGHTS = {
    "compare": 1.5,
    "sort": 1.6,
    "rename": 1.8,
    "reverse": 2.0,
    "extract": 4.0,
}


def draw(
    rng: random.Random, family: str, tier: int | None = None, *, held_out: bool
) -> Example:
    """Draw one example from the training part or from the hold-out."""
    chosen = FAMILIES[family]
    while True:
        level = tier or rng.randint(1, 3)
        draft = chosen.make(rng, level)
        if is_held_out(draft.prompt) == held_out:
            break
    checks = draft.checks or (Check("exact", draft.answer),)
    return Example(
        family,
        chosen.bucket,
        level,
        draft.prompt,
        draft.answer,
        checks,
        draft.wrong,
    )


def training_batch(seed: int, step: int, size: int) -> list[Example]:
    """Return the batch of one step; it depends on seed and step, not on history.

    A run resumed from a checkpoint therefore sees the batches it would have seen.
    """
    rng = random.Random(f"train-{seed}-{step}")
    weights = {name: family.weight for name, family in FAMILIES.items()}
    if step >= LATE_STEP:
        weights |= LATE_WEIGHTS
    chosen = rng.choices(list(weights), weights=list(weights.values()), k=size)
    return [draw(rng, family, held_out=False) for family in chosen]


def held_out_stream(
    seed: int, family: str, tier: int | None = None
) -> Iterator[Example]:
    """Yield different held-out examples of one family without end."""
    rng = random.Random(f"held-out-{seed}-{family}-{tier}")
    seen: set[str] = set()
    while True:
        example = draw(rng, family, tier, held_out=True)
        if example.prompt not in seen:
            seen.add(example.prompt)
            yield example
