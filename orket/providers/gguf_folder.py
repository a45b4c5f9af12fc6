"""Reads a folder of GGUF files: the models in it, and why each other file is none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orket.errors import UsageError
from orket.gguf import BadGguf, GgufHeader, file_parts, part_number, read_header
from orket.providers.contract import ModelRef
from orket.quants import UNKNOWN_QUANT, file_name, file_quant, split_name

_UNFINISHED = (
    ".aria2",
    ".part",
    ".partial",
    ".crdownload",
    ".incomplete",
    ".download",
    ".downloadinprogress",
)
_NO_LANGUAGE_MODEL = {
    "clip": "a projector (mmproj), not a model of its own",
    "eagle": "a draft head, not a model of its own",
    "controlvector": "a control vector, not a model of its own",
    "imatrix": "an importance matrix, no model",
    "bert": "an embedding model: it writes no text",
    "t5encoder": "an encoder: it writes no text",
    "wavtokenizer": "a decoder of sound: it writes no text",
    "flux": "an image model: it writes no text",
    "sd1": "an image model: it writes no text",
    "sdxl": "an image model: it writes no text",
    "sd3": "an image model: it writes no text",
}
"""By the begin or end of an architecture's name."""
_KINDS = {
    "mmproj": _NO_LANGUAGE_MODEL["clip"],
    "projector": _NO_LANGUAGE_MODEL["clip"],
    "adapter": "a LoRA adapter, not a model of its own",
    "imatrix": _NO_LANGUAGE_MODEL["imatrix"],
    "vocab": "only a vocabulary: it has no weights",
}
"""By `general.type`."""


@dataclass(frozen=True, slots=True)
class _Model:
    """One whole model: its first file, and what name and header say."""

    path: Path
    header: GgufHeader
    stem: str
    model_name: str
    named: str | None
    size: int


def read_folder(folder: Path) -> tuple[list[ModelRef], list[str]]:
    """The models in a folder, by model and size; and why what else lies there is none.

    Raises UsageError for a folder that is not there or cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name a folder of GGUF files")
    # A file before the links to it: whichever is read first bears the name.
    paths = sorted(_walk(folder), key=lambda path: (path.is_symlink(), path))
    models: list[_Model] = []
    left_out: list[str] = []
    seen: dict[tuple[int, int], Path] = {}
    for path in paths:
        try:
            own = _file_id(path)
            if known := seen.get(own):
                raise BadGguf(f"the same file as {known}")
            model = _read_model(path)
            # Only what could be read stands for the file under its other names.
            seen[own] = path
            if model is not None:
                models.append(model)
        except BadGguf as error:
            left_out.append(f"{path}: {error}")
        except OSError as error:
            left_out.append(f"{path}: it cannot be read ({error.strerror})")
    refs = [
        (_ref(model, model_id), model.size)
        for model_id, group in _group(models, folder)
        for model in group
    ]
    refs.sort(key=lambda pair: (pair[0].model_id, -pair[1], pair[0].name))
    return [ref for ref, _ in refs], left_out


def _walk(folder: Path) -> Iterator[Path]:
    """Every file with `.gguf` in its name, behind links too; each folder once."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"the folder {error.filename} cannot be read ({error.strerror})",
            "give yourself the right to read it, or name another folder",
        )

    walked: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        state = os.stat(place)
        if (state.st_dev, state.st_ino) in walked:
            folders.clear()
            continue
        walked.add((state.st_dev, state.st_ino))
        folders.sort()
        yield from (Path(place, name) for name in names if ".gguf" in name.lower())


def _file_id(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_dev, state.st_ino


def _read_model(path: Path) -> _Model | None:
    """The model that begins in a file; None for a later part of one.

    Raises BadGguf with the reason why it is none.
    """
    _require_finished(path)
    header = read_header(path)
    _require_whole(header)
    _require_language_model(header)
    parts = _require_parts(path, header)
    if parts is None:
        return None
    stem = file_name(path.name)
    model_name, named = split_name(stem)
    if named is not None and model_name == stem:
        # A file that is called by its quant alone: its folder has the model's name.
        model_name = header.name or path.parent.name or stem
    size = sum(part.stat().st_size for part in parts)
    return _Model(path, header, stem, model_name, named, size)


def _require_finished(path: Path) -> None:
    if not path.is_file():
        raise BadGguf("no plain file")
    if path.suffix.lower() in _UNFINISHED:
        raise BadGguf("a download that has not ended")
    if path.suffix.lower() != ".gguf":
        raise BadGguf(
            "a piece of a file, or what goes with one: its name ends otherwise"
        )
    for suffix in _UNFINISHED:
        if path.with_name(path.name + suffix).exists():
            raise BadGguf(
                f"a download that has not ended: {path.name}{suffix} is there"
            )


def fault_of_parts(path: Path, header: GgufHeader) -> str | None:
    """What a named file lacks of its weights, or one of its parts; None for nothing."""
    try:
        _require_whole(header)
        _require_parts(path, header)
    except BadGguf as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _require_whole(header: GgufHeader) -> None:
    if header.is_cut_short:
        raise BadGguf(
            f"cut short: it has {header.file_bytes} of {header.whole_bytes} bytes"
        )


def _require_language_model(header: GgufHeader) -> None:
    kind = header.metadata.get("general.type") or "model"
    if kind in _KINDS:
        raise BadGguf(_KINDS[kind])
    if "adapter.type" in header.metadata:
        raise BadGguf(_KINDS["adapter"])
    if kind != "model":
        raise BadGguf(f"its header calls it {kind}, not a model")
    architecture = header.architecture
    if architecture is None:
        raise BadGguf("its header names no architecture")
    for part, reason in _NO_LANGUAGE_MODEL.items():
        if architecture.startswith(part) or architecture.endswith(part):
            raise BadGguf(reason)
    if header.metadata.get(f"{architecture}.pooling_type"):
        raise BadGguf(_NO_LANGUAGE_MODEL["bert"])
    if not header.parameters and _split_count(header) < 2:
        raise BadGguf(_KINDS["vocab"])


def _require_parts(path: Path, header: GgufHeader) -> list[Path] | None:
    """All files of the model that begins here; None for a later part of one."""
    by_name = part_number(path)
    number, total = by_name or (1, 1)
    if _split_count(header) > 1 and _split_count(header) != total:
        said = _split_count(header)
        raise BadGguf(f"one of {said} parts by its header, of {total} by its name")
    parts = file_parts(path)
    if number > 1:
        if not parts[0].is_file():
            raise BadGguf(f"part {number} of {total}: {parts[0].name} is missing")
        return None
    for part in parts[1:]:
        if not part.is_file():
            raise BadGguf(f"part 1 of {total}: {part.name} is missing")
        try:
            _require_whole(read_header(part))
        except BadGguf as error:
            raise BadGguf(f"part 1 of {total}: {part.name} is {error}") from error
    return parts


def _split_count(header: GgufHeader) -> int:
    said = header.metadata.get("split.count")
    return said if isinstance(said, int) and said > 0 else 1


def _ref(model: _Model, model_id: str) -> ModelRef:
    """The name may be finer than the header, and may not contradict it."""
    header_tag = model.header.quant_tag
    tag = file_quant(model.named, header_tag)
    clash = None
    if tag is None:
        clash = f"its name says {model.named}, its header {header_tag}"
    return ModelRef(
        model_id,
        tag or header_tag or UNKNOWN_QUANT,
        model.stem,
        model.path,
        clash=clash,
    )


def _group(
    models: Sequence[_Model], folder: Path
) -> Iterator[tuple[str, list[_Model]]]:
    """The files of each model, by a name that is its alone.

    Names that differ in case and separators are one; what the headers call different
    is not, whatever the names say.
    """
    by_name: dict[str, list[_Model]] = {}
    for model in models:
        by_name.setdefault(_plain(model.model_name), []).append(model)
    for same in by_name.values():
        # The spelling that most files have; of as many, the first by letters.
        spelled = sorted(model.model_name for model in same)
        model_id = max(spelled, key=spelled.count)
        kinds = list(_by_header(same))
        if len(kinds) == 1:
            yield model_id, kinds[0]
            continue
        names = _names_of(kinds, folder)
        yield from (
            (f"{model_id} ({name})", kind)
            for name, kind in zip(names, kinds, strict=True)
        )


def _by_header(models: Iterable[_Model]) -> Iterator[list[_Model]]:
    """Models whose headers agree in all that both say."""
    kinds: list[tuple[dict[str, object], list[_Model]]] = []
    for model in models:
        own = _facts(model.header)
        for facts, kind in kinds:
            if all(facts.get(key, said) == said for key, said in own.items()):
                facts |= own
                kind.append(model)
                break
        else:
            kinds.append((own, [model]))
    yield from (kind for _, kind in kinds)


def _facts(header: GgufHeader) -> dict[str, object]:
    """What is the same in every quant of a model."""
    arch = header.architecture
    said: dict[str, object] = {
        key: header.metadata.get(key)
        for key in (
            f"{arch}.block_count",
            f"{arch}.embedding_length",
            f"{arch}.feed_forward_length",
            f"{arch}.expert_count",
            "general.size_label",
            "general.finetune",
        )
    }
    said["architecture"] = arch
    said["name"] = _plain(split_name(header.name)[0]) if header.name else None
    return {key: value for key, value in said.items() if value is not None}


def _names_of(kinds: Sequence[Sequence[_Model]], folder: Path) -> list[str]:
    """A word of its own for each of several models of one name."""
    heads = [kind[0].header for kind in kinds]
    candidates = [
        [head.name or "" for head in heads],
        [head.architecture or "" for head in heads],
        [str(kind[0].path.relative_to(folder).parent) for kind in kinds],
    ]
    for words in candidates:
        if len(set(words)) == len(words) and all(words):
            return words
    return [str(kind[0].path.relative_to(folder)) for kind in kinds]


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]+", "-", name.casefold())
