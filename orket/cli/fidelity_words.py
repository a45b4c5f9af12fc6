"""What fidelity says of a session: a sentence anybody understands, and a small table.

Shares are cut, never rounded up, and a place too many is never "all". None of it says
how good a quant is: that is for adherence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orket.exports.figures import words
from orket.exports.scale import MICRO, scale

Document = Mapping[str, Any]

_UNREAD = frozenset({"NOT_RUN", "DETERMINISM_LOST"})
_FINEST_DIGITS = 7
_GAP = "  "


def fidelity_words(session: Document) -> Iterator[str]:
    """How near each quant is to the reference, and where the tasks see it otherwise."""
    quants = [quant for quant in session["per_quant"] if quant["fidelity"]]
    found = {quant["quant_tag"]: quant["fidelity"] for quant in quants}
    yield from _found_words(found)
    if knows_no_more(session) and any(map(_is_listed, found.values())):
        yield (
            "That order is all that is known of them, and it is no advice: it says how "
            "near they are to what the reference says, not whether that is right."
        )
    for quant in quants:
        if line := _unseen(quant, session):
            yield line
    yield from _disagreements(quants)


def row_words(rows: Sequence[Mapping[str, Any]], with_table: bool) -> Iterator[str]:
    """The same from rows of v1.fidelity, of a sweep that still runs.

    `with_table`: with a line for each quant, its error, and where its answers part.
    """
    models: dict[str, dict[str, Document]] = {}
    for row in rows:
        models.setdefault(row["model_id"], {})[row["quant_tag"]] = row_entry(row)
    for model_id, found in models.items():
        named = f"{model_id}: " if len(models) > 1 else ""
        yield from (f"{named}{line}" for line in _found_words(found))
        if with_table:
            yield from _table(found)


def row_entry(row: Mapping[str, Any]) -> Document:
    """A row of v1.fidelity with the shares as a summary has them."""
    half = row.get("same_top_half_width_ppm")
    return {
        **row,
        "same_top": row["same_top_ppm"],
        "same_top_half_width": None if half is None else scale(half, MICRO, 6),
    }


def same_share(entry: Document) -> str:
    """`97.1 ±1.8`: places with the reference's next token in percent, and the error.

    Cut, never rounded up; its error never rounded down.
    """
    if entry.get("same_top") is None:
        return ""
    tenths = entry["same_top_positions"] * 1000 // entry["positions"]
    half = entry.get("same_top_half_width")
    error = "" if half is None else f" ±{_up(half)}"
    return f"{tenths // 10}.{tenths % 10}{error}"


def kept_share(entry: Document) -> str:
    """`3/8`: the answers that it gives word for word; empty where nobody knows."""
    if entry.get("level") is None or entry.get("kept_prompts") is None:
        return ""
    return f"{entry['kept_prompts']}/{entry['prompts']}"


def _up(half: float) -> str:
    """Tenths of a percent, rounded up."""
    from decimal import ROUND_CEILING, Decimal

    percent = Decimal(str(half)) * 100
    return str(percent.quantize(Decimal("0.1"), ROUND_CEILING))


def knows_no_more(session: Document) -> bool:
    """Whether the reference does none of the tasks: then no quant is judged by them."""
    from orket.warehouse.reasons import code_of

    nothing = code_of("quant", "no_baseline_adherence")
    quants = session["per_quant"]
    return all(nothing in (quant.get("ineligible_reasons") or ()) for quant in quants)


def _is_listed(entry: Document) -> bool:
    return entry.get("same_top") is not None and entry["status"] not in _UNREAD


def _found_words(found: Mapping[str, Document]) -> Iterator[str]:
    """What was found of each quant, a sentence for all that were asked alike."""
    if any(entry["status"] == "DETERMINISM_LOST" for entry in found.values()):
        reference = next(iter(found.values()))["reference_quant_tag"]
        yield (
            f"Fidelity: {reference} does not say the same when it is asked twice: "
            "nothing is read from what the others say."
        )
    alike: dict[tuple[str, str], dict[str, list[str]]] = {}
    for tag, entry in found.items():
        if entry["status"] not in _UNREAD and tag != entry["reference_quant_tag"]:
            figures = alike.setdefault(_frame(entry), {})
            figures.setdefault(_figure(entry), []).append(tag)
    for (head, tail), figures in alike.items():
        told = [f"{', '.join(tags)}{figure}" for figure, tags in figures.items()]
        yield f"{head}{'; '.join(told)}{tail}."


def _frame(entry: Document) -> tuple[str, str]:
    """What stands before and after the figures of quants that were asked alike."""
    if entry["level"] is None:
        return "No fidelity of ", f" ({words(entry['reason'])})"
    reference, prompts = entry["reference_quant_tag"], entry["prompts"]
    if entry["level"] == "DIVERGENCE":
        return (
            f"Fidelity: of {reference}'s {prompts} answers, kept word for word: ",
            f" (by recorded answers alone: {words(entry['reason'])})",
        )
    if entry["same_top"] is None:
        return (
            f"Fidelity: the server tells how likely {reference}'s words are, and not "
            "what it would say instead: ",
            "",
        )
    answers = "1 answer" if prompts == 1 else f"{prompts} answers"
    if entry.get("narrowed_from") is not None:
        answers = f"{prompts} of {entry['narrowed_from']} answers"
    limits = [f"{entry['positions']} places in {answers}"]
    if entry.get("narrowed_from") is not None:
        limits.append("for which there was time")
    if entry["level"] == "PREFIX":
        limits.append("up to the first difference")
    if entry["cut_prompts"]:
        limits.append("as far as they were followed")
    if entry["status"] == "PARTIAL":
        limits.append(words(entry["reason"]))
    return (
        f"Fidelity: how often each says the same next word as {reference}, in 100 "
        "places of its answers: ",
        f" ({', '.join(limits)})",
    )


def _figure(entry: Document) -> str:
    """What follows the name of a quant, where it has a figure."""
    if entry["level"] == "DIVERGENCE":
        return f" {entry['kept_prompts']}"
    if entry["level"] is None or entry["same_top"] is None:
        return ""
    same, places = entry["same_top_positions"], entry["positions"]
    if same == places:
        return " always"
    return f" {share(same, places)}"


def _table(found: Mapping[str, Document]) -> Iterator[str]:
    """A line for each quant: what it shares with the reference, and where it parts."""
    rows = [
        (
            tag if tag != entry["reference_quant_tag"] else f"{tag}, asked again",
            same_share(entry),
            kept_share(entry),
            _parting(entry),
        )
        for tag, entry in found.items()
        if entry["status"] not in _UNREAD and entry["level"] is not None
    ]
    if not any(same or kept for _, same, kept, _ in rows):
        return
    lines = [
        ("quant", "same next token %", "answers kept", "others part at (median)"),
        *rows,
    ]
    widths = [max(len(line[place]) for line in lines) for place in range(4)]
    for tag, same, kept, parts in lines:
        yield (
            f"  {tag:<{widths[0]}}{_GAP}{same:>{widths[1]}}{_GAP}"
            f"{kept:>{widths[2]}}{_GAP}{parts}"
        ).rstrip()


def share(part: int, whole: int) -> str:
    """`89.7`: percent, cut, and as fine as it takes to tell the share from all.

    In tenths at least, as the tables have it: one figure, wherever it stands.
    """
    digits = 1
    while part < whole and digits < _FINEST_DIGITS:
        of = 10 ** (2 + digits)
        if part * of // whole < of - 1:
            break
        digits += 1
    head, tail = divmod(part * 10 ** (2 + digits) // whole, 10**digits)
    return f"{head}.{tail:0{digits}d}"


def _parting(entry: Document) -> str:
    """Where the answers that are not kept leave the reference's; empty if not known."""
    median, earliest = entry.get("median_difference"), entry.get("earliest_difference")
    if median is None:
        return ""
    unit = str(entry["difference_unit"]).lower()
    first = "" if earliest == median else f", the earliest at {earliest}"
    return f"{unit} {median}{first}"


def _disagreements(quants: Sequence[Document]) -> Iterator[str]:
    """Where adherence and fidelity say different things, a sentence for each kind."""
    kinds: dict[str, list[Document]] = {}
    for quant in quants:
        if code := quant["fidelity"].get("disagreement"):
            kinds.setdefault(code, []).append(quant)
    for code, found in sorted(kinds.items()):
        yield from _disagreement(code, found)


def _disagreement(code: str, quants: Sequence[Document]) -> Iterator[str]:
    reference = quants[0]["fidelity"]["reference_quant_tag"]
    if code == "FAITHFUL_BUT_FAILS":
        told = [
            f"{quant['quant_tag']} keeps {quant['fidelity']['kept_prompts']} of "
            f"{quant['fidelity']['prompts']} answers word for word, and loses "
            f"{quant['pairs']['flips_lost']} of the "
            f"{quant['pairs']['baseline_passes']} tasks that {reference} did"
            for quant in quants
        ]
        yield (
            f"Fidelity and tasks disagree: {'; '.join(told)}. Trust the tasks: the "
            "prompts that were followed are not like those that are lost."
        )
    elif code == "DIFFERS_BUT_PASSES":
        told = [
            f"{quant['quant_tag']} "
            f"{quant['fidelity']['prompts'] - quant['fidelity']['kept_prompts']} of "
            f"{quant['fidelity']['prompts']}"
            for quant in quants
        ]
        lost = f"none of the tasks that {reference} did is lost"
        yield (
            f"Fidelity and tasks disagree: so many answers are changed, and {lost}: "
            f"{', '.join(told)}. Either the same is said in other words, or the checks "
            "do not look where it differs: read some of the answers."
        )


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
