"""What fidelity says of a session, in sentences anybody understands.

Shares are cut, never rounded up, and a place too many is never "all". None of it says
how good a quant is: that is for adherence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orket.exports.figures import words

Document = Mapping[str, Any]

_UNREAD = frozenset({"NOT_RUN", "DETERMINISM_LOST"})
_FINEST_DIGITS = 7


def fidelity_words(session: Document) -> Iterator[str]:
    """A sentence for the quants that it holds for, and what the tasks cannot see."""
    quants = [quant for quant in session["per_quant"] if quant["fidelity"]]
    yield from _found_words({quant["quant_tag"]: quant["fidelity"] for quant in quants})
    for quant in quants:
        if line := _unseen(quant, session):
            yield line
    for quant in quants:
        if line := _disagreement(quant):
            yield line


def _found_words(found: Mapping[str, Document]) -> Iterator[str]:
    """What was found of each quant, a sentence for all of which it holds."""
    if any(entry["status"] == "DETERMINISM_LOST" for entry in found.values()):
        reference = next(iter(found.values()))["reference_quant_tag"]
        yield (
            f"Fidelity: {reference} does not say the same when it is asked twice: "
            "nothing is read from what the others say"
        )
    said: dict[str, list[str]] = {}
    for tag, entry in found.items():
        if entry["status"] not in _UNREAD and tag != entry["reference_quant_tag"]:
            said.setdefault(_sentence(entry), []).append(tag)
    for sentence, tags in said.items():
        yield _said_of(tags, sentence)


def row_words(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The same sentences from rows of v1.fidelity, of a sweep that still runs."""
    models: dict[str, dict[str, Document]] = {}
    for row in rows:
        entry = {**row, "same_top": row["same_top_ppm"]}
        models.setdefault(row["model_id"], {})[row["quant_tag"]] = entry
    for model_id, found in models.items():
        named = f"{model_id}: " if len(models) > 1 else ""
        yield from (f"{named}{line}" for line in _found_words(found))


def share(part: int, whole: int) -> str:
    """`89 %`, cut, and as fine as it takes to tell the share from all."""
    digits = 0
    while part < whole and digits < _FINEST_DIGITS:
        of = 10 ** (2 + digits)
        if part * of // whole < of - 1:
            break
        digits += 1
    cut = part * 10 ** (2 + digits) // whole
    head, tail = divmod(cut, 10**digits)
    return f"{head}.{tail:0{digits}d} %" if digits else f"{head} %"


def _said_of(tags: list[str], sentence: str) -> str:
    """One sentence for all quants of which it holds."""
    if len(tags) > 1:
        for one, many in (("picks", "pick"), ("keeps", "keep")):
            sentence = sentence.replace(f"{one} ", f"{many} ")
    return f"{', '.join(tags)}{sentence}."


def _sentence(entry: Document) -> str:
    """What follows the name of a quant."""
    if entry["level"] is None:
        return f": no fidelity ({words(entry['reason'])})"
    reference, prompts = entry["reference_quant_tag"], entry["prompts"]
    if entry["level"] == "DIVERGENCE":
        why = words(entry["reason"])
        kept = entry["kept_prompts"]
        how_many = f"{share(kept, prompts)}; " if 0 < kept < prompts else ""
        return (
            f" keeps {kept} of {prompts} of {reference}'s answers word for word "
            f"({how_many}{why}){_parting(entry)}"
        )
    if entry["same_top"] is None:
        return (
            f": the server tells how likely {reference}'s words are, and not what "
            "it would say instead"
        )
    same, places = entry["same_top_positions"], entry["positions"]
    where = (
        f"in all {places} places ({prompts} prompts)"
        if same == places
        else f"in {same} of {places} places ({share(same, places)}, {prompts} prompts)"
    )
    until = " up to the first difference" if entry["level"] == "PREFIX" else ""
    follows = ", as far as they were followed" if entry["cut_prompts"] else ""
    text = (
        f" picks the same next token as {reference} {where}{until} and keeps "
        f"{entry['kept_prompts']} of {prompts} answers word for word{follows}"
        f"{_parting(entry)}"
    )
    partial = entry["status"] == "PARTIAL"
    return f"{text}; {words(entry['reason'])}" if partial else text


def _parting(entry: Document) -> str:
    """Where the answers that are not kept leave the reference's; empty if not known."""
    median, earliest = entry.get("median_difference"), entry.get("earliest_difference")
    if median is None:
        return ""
    unit = str(entry["difference_unit"]).lower()
    first = "" if earliest == median else f", the earliest at {unit} {earliest}"
    return f"; the others part from it at {unit} {median} in the median{first}"


def _disagreement(quant: Document) -> str | None:
    """Where adherence and fidelity say different things of a quant."""
    entry, tag, pairs = quant["fidelity"], quant["quant_tag"], quant["pairs"]
    kept, prompts = entry["kept_prompts"], entry["prompts"]
    reference = entry["reference_quant_tag"]
    if entry.get("disagreement") == "FAITHFUL_BUT_FAILS":
        return (
            f"Fidelity and tasks disagree on {tag}: it keeps {kept} of {prompts} "
            f"answers word for word, and loses {pairs['flips_lost']} of the "
            f"{pairs['baseline_passes']} tasks that {reference} did. Trust the tasks: "
            "the prompts that were followed are not like those it loses."
        )
    if entry.get("disagreement") == "DIFFERS_BUT_PASSES":
        return (
            f"Fidelity and tasks disagree on {tag}: it changes {prompts - kept} of "
            f"{prompts} answers, and loses none of the {pairs['baseline_passes']} "
            f"tasks that {reference} did. Either it says the same in other words, or "
            "the checks do not look where it differs: read some of its answers."
        )
    return None


def _unseen(quant: Document, session: Document) -> str | None:
    """Where the tasks tell no difference, and the places do."""
    detail, entry = session["recommendation_detail"], quant["fidelity"]
    tag, reference = quant["quant_tag"], entry["reference_quant_tag"]
    advised = (detail["minimum_viable_quant"], detail["best_value_quant"])
    same, places, pairs = (
        entry["same_top_positions"],
        entry["positions"],
        quant["pairs"],
    )
    if tag not in advised or tag == reference or same is None or pairs is None:
        return None
    if entry["status"] != "OK" or same == places or quant["separable"]:
        return None
    if reference != session["baseline_quant"]:
        return None
    return (
        f"{pairs['n']} tasks cannot tell {reference} and {tag} apart; they choose "
        f"differently in {places - same} of {places} places."
    )
