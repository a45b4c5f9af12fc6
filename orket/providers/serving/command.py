"""The command that serves one quant: its words, its placeholders, what may be shown.

    vllm serve org/model-{quant} --port {port} --kv-cache-dtype {kv}

Words are divided as a shell would, and no shell runs: there are no variables, pipes or
wildcards. Each placeholder is filled in inside its word, so that blanks divide nothing.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from orket.errors import UsageError
from orket.levels import kv_types, without_level
from orket.providers.contract import ModelRef
from orket.records import Controls
from orket.text import nearest, whole_number
from orket.urls import HIDDEN, without_passwords, without_secret

PORT, HOST = "port", "host"
PLACEHOLDERS = (
    "quant", "quant_lower", "model", "name", "path", PORT, HOST,
    "kv", "kv_keys", "kv_values", "ctx", "threads",
)  # fmt: skip
CONTROLS = {
    "kv_cache": {"kv", "kv_keys", "kv_values"},
    "context_tokens": {"ctx"},
    "threads": {"threads"},
}
"""Controls that a command can be told, and the placeholders that tell them."""
PROGRAMS = {
    "llama-server": "llama-server",
    "vllm": "vllm",
    "text-generation-launcher": "tgi",
}
"""Programs whose adapter is plain; every other one is spoken to as `openai`."""

_PLAIN = re.compile(r"[\w@%+=:,./{}\[\]-]+", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_NAMES = r"(?:keys?|token|secrets?|password|passwd|passphrase|credentials?|auth)"
_SECRET_OPTION = re.compile(rf"-.*{_NAMES}$|-hft$", re.IGNORECASE)
_SET = re.compile(
    # An option or a variable that is set, a header, anywhere inside a word: a command
    # may be handed on to a shell, a container or an option of its own.
    rf"(?:^|(?<=[\s'\"=;]))-{{1,2}}[\w-]*{_NAMES}[=\s]\s*(?P<option>[^\s'\"]+)"
    rf"|(?:^|(?<=[\s'\"=;,?&#]))[\w-]*(?:KEYS?|TOKEN|SECRETS?|PASSWORD|PASSWD|PASSPHRASE"
    rf"|CREDENTIALS?)=['\"]?(?P<variable>[^\s'\";&]+)"
    rf"|://[^/\s@:]*:(?P<password>[^/\s@]+)(?=@)"
    rf"|authorization:\s*(?P<login>[^'\"]+)"
    rf"|[\w-]*{_NAMES}:\s+(?P<header>[^'\"]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ServeCommand:
    """A command line with its placeholders, as words."""

    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """The program that it runs."""
        return self.words[0]

    @property
    def placeholders(self) -> frozenset[str]:
        """What it wants to be told."""
        return frozenset(name for word in self.words for name in _names_in(word))

    @property
    def sets(self) -> frozenset[str]:
        """Controls that it is told."""
        return frozenset(
            control for control, names in CONTROLS.items() if names & self.placeholders
        )

    def fill(self, told: Mapping[str, str]) -> list[str]:
        """The words with every placeholder filled that is told of."""
        return [
            _PLACEHOLDER.sub(lambda found: told.get(found[1], found[0]), word)
            for word in self.words
        ]

    def secrets(self) -> list[str]:
        """What of it may be shown nowhere."""
        return [secret for _, secret in _find_secrets(self.words)]

    def shown(self) -> ServeCommand:
        """The same without its secrets."""
        words = list(self.words)
        for place, secret in _find_secrets(self.words):
            words[place] = words[place].replace(secret, HIDDEN)
        return ServeCommand(
            tuple(without_passwords(without_secret(word)) for word in words)
        )

    def __str__(self) -> str:
        return join_words(self.words)


def join_words(words: Iterable[str]) -> str:
    """The words as a line that is divided into them; placeholders stand as they are."""
    return " ".join(
        word if _PLAIN.fullmatch(word) else shlex.quote(word) for word in words
    )


def read_command(text: str, windows: bool = sys.platform == "win32") -> ServeCommand:
    """The command of a line. Raises UsageError for one that cannot be read.

    On Windows a backslash is a part of a path and nothing else.
    """
    try:
        words = tuple(_divide(text, windows))
    except ValueError as error:
        raise UsageError(
            f"the command {shown_command(text)!r} cannot be read: {error}",
            "close its quotes",
        ) from None
    if not words:
        raise UsageError("the command that serves a quant is empty", _EXAMPLE)
    command = ServeCommand(words)
    if _names_in(command.program):
        raise UsageError("the program of a command cannot be filled in", _EXAMPLE)
    for name in sorted(command.placeholders):
        if name not in PLACEHOLDERS:
            raise UsageError(
                f"the command {command.shown()} has an unknown placeholder {{{name}}}",
                nearest(name, PLACEHOLDERS, list_all=True),
            )
    return command


def shown_command(text: str) -> str:
    """A command as it may be shown and kept: as it is, unless it has a secret."""
    try:
        command = ServeCommand(tuple(_divide(text, sys.platform == "win32")))
    except ValueError:
        return HIDDEN
    shown = command.shown()
    return text if shown == command else str(shown)


def provider_of(command: ServeCommand) -> str:
    """The adapter that speaks to what a command serves, by the program's name."""
    name = PurePath(command.program.replace("\\", "/")).name.removesuffix(".exe")
    return PROGRAMS.get(name, "openai")


def told_of(model: ModelRef, controls: Controls) -> dict[str, str]:
    """What a command can be told of a quant; what is not known of it is left out."""
    quant, threads = without_level(model.quant_tag), whole_number(controls.threads)
    told = {
        "quant": quant,
        "quant_lower": quant.lower(),
        "model": model.model_id,
        "name": model.name or None,
        "path": str(model.path) if model.path else None,
        "ctx": str(controls.context_tokens) if controls.context_tokens else None,
        "threads": None if threads is None else str(threads),
    }
    if controls.kv_cache is not None:
        keys, values = kv_types(controls.kv_cache)
        told |= {"kv_keys": keys, "kv_values": values}
        told["kv"] = keys if keys == values else None
    return {name: value for name, value in told.items() if value is not None}


def find_untold(
    command: ServeCommand, told: Collection[str], quant_tag: str
) -> str | None:
    """Why the command cannot be filled in for a quant; None where it can."""
    missing = sorted(command.placeholders - set(told) - {PORT, HOST})
    if not missing:
        return None
    name = missing[0]
    return f"the command wants {{{name}}}: {_HOW_TOLD[name].format(quant=quant_tag)}"


_EXAMPLE = "write it as: vllm serve org/model-{quant} --port {port}"
_HOW_TOLD = {
    "name": "name the model in [models.names.PROVIDER]",
    "path": "give a folder of GGUF files, or `file` in [models.names.PROVIDER]",
    "kv": "write {quant}@kv=TYPE; keys and values apart are {{kv_keys}}, {{kv_values}}",
    "kv_keys": "write {quant}@kv=TYPE",
    "kv_values": "write {quant}@kv=TYPE",
    "ctx": "write {quant}@ctx=TOKENS, or give --context",
    "threads": "give --threads a number",
}


def _divide(text: str, windows: bool) -> Iterator[str]:
    """The words of a command line. Raises ValueError for an open quote."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    if windows:
        lexer.escape = ""
    return iter(lexer)


def _names_in(word: str) -> list[str]:
    return _PLACEHOLDER.findall(word)


def _find_secrets(words: tuple[str, ...]) -> list[tuple[int, str]]:
    """Place and text of each secret: what an option or a variable is set to."""
    found = []
    for place, word in enumerate(words):
        if _SECRET_OPTION.match(word) and "=" not in word and place + 1 < len(words):
            found.append((place + 1, words[place + 1]))
        for match in _SET.finditer(word):
            found.append((place, match[match.lastgroup or 0].strip()))
    return [(place, secret) for place, secret in dict.fromkeys(found) if secret]
