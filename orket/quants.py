"""The names of quants: all that is known of them stands in `presets/quants.toml`.

A name from outside becomes model and quant by `split_name`; two sayings about the same
weights become one by `finer`. A quant that no entry knows stays whole: it is another
quant than every known one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from orket.levels import (
    MARK,
    kv_types,
    spell_level,
    split_level,
    with_level,
    without_level,
)
from orket.resources import shipped
from orket.toml_source import read_toml

UNKNOWN_QUANT = "unknown"
"""The tag of a model whose quant nobody names."""
NOT_IN_GGUF = frozenset({"server", "mlx"})
"""Families that no GGUF file holds."""

_NOTHING_SAID = frozenset({"", "UNKNOWN", "NONE", "NULL", "N/A"})
_SPELLED_SIZES = {"SMALL": "S", "MEDIUM": "M", "LARGE": "L"}
_SEPARATOR = r"(?: - |[-_. ])?"
_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_FILE_ENDING = re.compile(
    r"(?:-\d{5}-of-\d{5})?(?: ?\(\d{1,3}\))?"
    r"(?:\.(?:gguf|llamafile|safetensors|bin))?(?:\.part\d+of\d+|-split-[a-z])?$",
    re.IGNORECASE,
)
"""Parts, a browser's number of a second download, the file's kind, pieces of a file."""
_AT_END = r"(?=[)\]]?(?::latest)?$)"
_BITS_SAID = re.compile(r" - [\d.]+ bpw\b.*$", re.IGNORECASE)
_JOINTS = "-_.:/@ "


@dataclass(frozen=True, slots=True)
class Quant:
    """One entry of the catalogue."""

    key: str
    """Canonical tag."""
    family: str
    nominal_bpw_milli: int
    """Nominal bits per weight, 1/1000."""
    order: int
    """Place in the catalogue, 1 = least precise."""
    file_type: int | None = None
    """Its number in a GGUF header; None for what is no type of its own."""
    is_mix: bool = False
    """The header of such a file names a plainer type, whichever is nearest."""
    ollama: str | None = None


def catalogue() -> tuple[Quant, ...]:
    """All entries, least precise first."""
    return _names().quants


def find_quant(tag: str) -> Quant | None:
    """The entry of a tag, whatever its case and separators; None if it is unknown."""
    return _names().find(_without_label(tag)[0])


def canonical_tag(tag: str | None) -> str | None:
    """One spelling for each quant: `q4_k_m` and `Q4_K - Medium` are `Q4_K_M`.

    An unknown one stays as it is, without blanks around it; None says nothing.
    """
    plain = (tag or "").strip()
    if plain.upper() in _NOTHING_SAID:
        return None
    base, label = _without_label(spell_level(plain))
    return _names().spell(base) + label


def same_quant(one: str, other: str) -> bool:
    """Whether two tags name one quant; unknown ones by their letters and digits."""
    return _identity(one) == _identity(other)


def find_named(asked: str, tags: Sequence[str]) -> list[str]:
    """Which of the tags go by a name: the very one, else those of that quant.

    More than one where only their labels differ: `Q8_0@a` and `Q8_0@b` are Q8_0. The
    same quant at another level is meant by the name without one, and by no other.
    """
    if asked in tags:
        return [asked]
    for shorten in (str, without_level, without_any_label):
        if found := [tag for tag in tags if same_quant(shorten(tag), asked)]:
            return found
    return []


def find_at_level(asked: str, tags: Sequence[str]) -> list[str]:
    """The same, and for a level that none of them has, those of the quant at it."""
    if found := find_named(asked, tags):
        return found
    base, level = split_level(asked)
    if level is None:
        return []
    bases = list(dict.fromkeys(map(without_level, tags)))
    return [with_level(tag, level) for tag in find_named(base, bases)]


def split_name(name: str) -> tuple[str, str | None]:
    """The model and the quant in a name of a file, a server or a repository.

    `Llama-3.2-3B-Instruct-Q4_K_M` is that model in Q4_K_M. The tag is None for a name
    without a quant, and the model the whole name where it has nothing else.
    """
    plain = _FILE_ENDING.sub("", name)
    found = _names().read(plain)
    if found is None:
        return plain or name, None
    start, end, tag = found
    before = plain[:start].rstrip(_JOINTS + "([")
    before = re.sub(r"[-_. ]+mostly$", "", before, flags=re.I)
    rest = before + plain[end:].lstrip(")]")
    return rest.strip(_JOINTS) or plain, tag


def file_name(path: str) -> str:
    """The name in a path of any system, without folders and file ending."""
    base = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _FILE_ENDING.sub("", base)


def finer(named: str | None, held: str | None) -> str | None:
    """The finer of what a name says and what the weights' holder says of them.

    None where the two contradict each other; `UNKNOWN_QUANT` where neither says.
    """
    named, held = canonical_tag(named), canonical_tag(held)
    if named is None or held is None:
        return named or held or UNKNOWN_QUANT
    if same_quant(named, held):
        return named
    bare, entry, type_ = _without_label(named)[0], find_quant(named), find_quant(held)
    edition, plain = _names().split_edition(bare)
    if is_coarser(plain, held):
        return f"{edition}{held}"
    if is_coarser(held, plain) or (entry is not None and entry is type_):
        return named
    is_word = any(is_coarser(plain, quant.key) for quant in catalogue())
    if type_ is None or is_word:
        return None
    # A quant that nobody knows yet goes by some known name where it is held; a mix lies
    # in files of some plainer type.
    is_plain = type_.file_type is not None
    return named if entry is None or (entry.is_mix and is_plain) else None


def file_quant(named: str | None, type_tag: str | None) -> str | None:
    """The same for a GGUF file, by its name and its header's type.

    A word of other servers in a file's name (4bit, INT8) says no more than how many
    bits there are.
    """
    entry = find_quant(named) if named else None
    held = find_quant(type_tag) if type_tag else None
    if entry and held and entry.family in NOT_IN_GGUF:
        same_bits = entry.nominal_bpw_milli // 1000 == held.nominal_bpw_milli // 1000
        return type_tag if same_bits else None
    return finer(named, type_tag)


def is_coarser(one: str, other: str) -> bool:
    """Whether a tag is the first part of another's and no type of its own: `Q4`."""
    first, second = find_quant(one), find_quant(other)
    is_own = first is not None and first.file_type is not None
    has_type = second is not None and (second.file_type is not None or second.is_mix)
    start = re.sub(r"[^A-Z0-9]+", "_", one.upper()) + "_"
    key = second.key if second else other
    return has_type and not is_own and key.upper().startswith(start)


def quant_of_file_type(number: int | None) -> str | None:
    """The tag of a GGUF file type; None for one that the catalogue does not know."""
    return _names().file_types.get(number) if number is not None else None


def quant_of_words(said: str | None) -> str | None:
    """The tag of a file type in llama.cpp's words: `Q4_K - Medium` is Q4_K_M.

    None for one that is not known, and for a guessed one: that is no evidence.
    """
    if not said or "guessed" in said.lower():
        return None
    return _names().type_words.get(_spelling(_BITS_SAID.sub("", said.strip())))


def split_described(said: str) -> tuple[str, str | None]:
    """Model and quant of llama.cpp's description: `llama 8B IQ4_NL - 4.5 bpw`."""
    model, tag = split_name(_BITS_SAID.sub("", said))
    return model, quant_of_words(tag) or tag


@dataclass(frozen=True, slots=True)
class TensorType:
    """How the weights of one tensor are stored."""

    name: str
    block_weights: int | None = None
    block_bytes: int | None = None
    """None for a type whose blocks are not known."""


def tensor_type(number: int) -> TensorType:
    """A type of tensors by its number in a GGUF file."""
    return _names().tensor_types.get(number) or TensorType(f"type {number}")


def kv_type_bits_milli(name: str) -> int | None:
    """Bits of a value in a KV cache of a type, 1/1000; None for one not known."""
    bits = _names().tensor_bits.get(name.upper())
    entry = find_quant(name)
    # What servers keep in eight bits is no type of ggml's.
    return entry.nominal_bpw_milli if entry and entry.key == "FP8" else bits


def kv_bits_milli(kv: str | None) -> int | None:
    """The same of a whole cache (`q8_0`, `q8_0/f16`): the mean of keys and values."""
    bits = [kv_type_bits_milli(each) for each in kv_types(kv)] if kv else []
    known = [each for each in bits if each is not None]
    return sum(known) // 2 if len(known) == 2 else None


def distinctions(places: Sequence[str]) -> list[str]:
    """The first part of each place that is another in all of them.

    The whole places where no single part is: two of one place are numbered.
    """
    split = [re.split(r"[/\\]+", place.strip("/")) for place in places]
    least = min(len(parts) for parts in split)
    for index in range(least - 1):
        column = [parts[index] for parts in split]
        if len(set(column)) == len(column):
            return column
    names = [re.sub(r"\.gguf$", "", parts[-1], flags=re.IGNORECASE) for parts in split]
    for candidates in (names, list(places)):
        if len(set(candidates)) == len(candidates):
            return list(candidates)
    return [f"{place}#{number}" for number, place in enumerate(places, start=1)]


def ollama_spelling(tag: str) -> str:
    """A quant as the Ollama library spells it: q4_K_M, fp16."""
    entry = find_quant(tag)
    if entry is not None and entry.ollama:
        return entry.ollama
    letters = re.match(r"[A-Z]*", tag)
    head = letters[0] if letters else ""
    return head.lower() + tag[len(head) :]


class _Names:
    """The catalogue as it stands in one file, and the recogniser built from it."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._entries: list[dict[str, Any]] = content["quants"]
        self._editions: list[dict[str, Any]] = content["editions"]
        self._shapes: dict[str, Any] = content["shapes"]
        self.tensor_types = {
            int(number): TensorType(row["name"], row.get("weights"), row.get("bytes"))
            for number, row in content["tensor_types"].items()
        }
        self.tensor_bits = {
            each.name: each.block_bytes * 8000 // each.block_weights
            for each in self.tensor_types.values()
            if each.block_bytes and each.block_weights
        }
        self.quants = tuple(
            Quant(
                entry["key"],
                entry["family"],
                _milli(entry["bits"]),
                order,
                entry.get("file_type"),
                entry["basis"] == "base",
                entry.get("ollama"),
            )
            for order, entry in enumerate(self._entries, start=1)
        )
        self.file_types = {
            q.file_type: q.key for q in self.quants if q.file_type is not None
        }
        self.by_spelling = self._index(("aliases", "dtypes"))

    @cached_property
    def type_words(self) -> dict[str, str]:
        """Tag of each file type by llama.cpp's words for it and by its own names."""
        return {
            spelling: quant.key
            for spelling, quant in self._index(("aliases", "type_words")).items()
            if quant.file_type is not None
        }

    def find(self, tag: str) -> Quant | None:
        edition, plain = self.split_edition(tag)
        found = self.by_spelling.get(_spelling(tag))
        if found is None and edition:
            found = self.by_spelling.get(_spelling(plain))
        return found

    def spell(self, tag: str) -> str:
        edition, plain = self.split_edition(tag)
        known = self.by_spelling.get(_spelling(plain)) if edition else self.find(tag)
        return f"{edition}{known.key}" if known else tag

    def split_edition(self, tag: str) -> tuple[str, str]:
        """An edition of the same blocks in front of a tag (`i1-`), and the rest."""
        for edition in self._editions:
            spelled = edition["spelled"]
            found = re.match(rf"{spelled}[-_. ]", tag, re.IGNORECASE)
            if edition["same_blocks"] and found:
                return f"{spelled}-", tag[found.end() :]
        return "", tag

    def read(self, name: str) -> tuple[int, int, str] | None:
        """Where the last quant of a name stands, and its tag.

        Quants that nothing but a separator parts are one, and so an unknown one.
        """
        runs: list[tuple[int, int]] = []
        for start, end in self._matches(name):
            if runs and name[runs[-1][1] : start] in ("-", "_", ".", " "):
                runs[-1] = runs[-1][0], end
            else:
                runs.append((start, end))
        if not runs:
            return None
        start, end = runs[-1]
        return start, end, self.spell(name[start:end])

    def _matches(self, name: str) -> Iterator[tuple[int, int]]:
        place = 0
        while place < len(name):
            found = [pattern.match(name, place) for pattern in self._patterns]
            end = max((match.end() for match in found if match), default=place)
            if end > place:
                yield place, end
            place = max(end, place + 1)

    @cached_property
    def _patterns(self) -> list[re.Pattern[str]]:
        any_edition = "|".join(edition["spelled"] for edition in self._editions)
        before = rf"{_START}(?:(?:{any_edition})[-_. ])?"
        known = _alternatives(
            _with_separators(name)
            for entry in self._entries
            for name in _names_of(entry, ("aliases", "type_words"))
        )
        dtypes = _alternatives(
            _with_separators(name)
            for entry in self._entries
            for name in entry.get("dtypes", ())
        )
        words = {key: self._shapes[key] for key in ("method", "tail", "ending")}
        patterns = [f"{before}(?:{known}){_END}", f"{_START}(?:{dtypes}){_AT_END}"]
        for kind in ("blocks", "numbers", "methods", "short"):
            for shape in self._shapes[kind]:
                for key, text in words.items():
                    shape = shape.replace(f"{{{key}}}", text)
                after = _AT_END if kind == "short" else _END
                patterns.append(f"{before}(?:{shape}){after}")
        return [re.compile(pattern, re.IGNORECASE) for pattern in patterns]

    def _index(self, fields: tuple[str, ...]) -> dict[str, Quant]:
        found: dict[str, Quant] = {}
        for quant, entry in zip(self.quants, self._entries, strict=True):
            for name in _names_of(entry, fields):
                if found.setdefault(_spelling(name), quant) is not quant:
                    raise ValueError(f"two quants are called {name}")
        return found


@cache
def _names() -> _Names:
    return _Names(read_toml(shipped("presets") / "quants.toml", Decimal).data)


def _names_of(entry: dict[str, Any], fields: tuple[str, ...]) -> Iterator[str]:
    yield entry["key"]
    for field in fields:
        yield from entry.get(field, ())


def _alternatives(patterns: Iterable[str]) -> str:
    return "|".join(sorted(set(patterns), key=lambda p: (-len(p), p)))


def _with_separators(name: str) -> str:
    """The pattern of a name: any separator where it has one, or where a word begins."""
    parts = re.findall(r"[A-Z]*\d+|[A-Z]+", name.upper())
    sizes = {letter: word for word, letter in _SPELLED_SIZES.items()}
    if len(parts) > 2 and parts[-1] in sizes:
        parts[-1] = f"(?:{parts[-1]}|{sizes[parts[-1]]})"
    return _SEPARATOR.join(parts)


def without_any_label(tag: str) -> str:
    """The bare quant of a tag: no label, no level."""
    return tag.partition(MARK)[0]


def _without_label(tag: str) -> tuple[str, str]:
    base, mark, label = tag.partition(MARK)
    return base, mark + label


def _identity(tag: str) -> str:
    base, label = _without_label(spell_level(tag))
    return _spelling(_names().spell(base)) + label


def _milli(bits: Decimal) -> int:
    # Half up, so that 4.8944 is 4894 on every platform.
    return int(bits * 1000 + Decimal("0.5"))


def _spelling(tag: str) -> str:
    """`q4_k-m` and `Q4_K - Medium` are both Q4KM."""
    plain = tag.upper()
    for word, letter in _SPELLED_SIZES.items():
        plain = re.sub(rf"[\s_-]+{word}\b", f"_{letter}", plain)
    return re.sub(r"[^A-Z0-9]", "", plain)
