"""Reads what `llama-perplexity --kl-divergence` prints: the statistics at its end.

Of the log around them the model's file, its type and the build are taken where they are
said. A figure that is not printed, or printed as nan, is None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orket.limits import BeyondFigures, exact_number

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_ERROR = rf"(?:\s*(?:±|\+/-)\s*(?P<error>{_NUMBER}))?"
_PREFIX = r"^(?:[\d.]+ [A-Z] )?"
"""What newer logs write before a line: a moment and a level."""
_KLD = re.compile(rf"{_PREFIX}Mean +KLD: *(?P<mean>{_NUMBER}){_ERROR}", re.M)
_SAME_TOP = re.compile(rf"{_PREFIX}Same top p: *(?P<mean>{_NUMBER}){_ERROR}", re.M)
_STATISTICS = re.compile(
    rf"{_PREFIX}(?:=+ .* statistics =+|.*(?:PPL|KLD|Δp|top p).*:.*)$", re.M
)
_FILE = re.compile(r"\bfrom (\S.*?\.gguf)\b", re.I)
_TYPE = re.compile(r"\bfile type\s*=\s*(\S.*?)\s*$", re.M)
_BUILD = re.compile(r"^(?:main: )?build:? *=? *(\d+) \((\w+)\)", re.M)
_NNATS = 10**9
_PPM_OF_PERCENT = 10**4


class BadDivergence(Exception):
    """The output holds no statistics of a divergence; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """How far a quant's tokens are from the reference's, as the tool printed it."""

    kld_nnats: int | None
    kld_error_nnats: int | None
    same_top_ppm: int | None
    same_top_error_ppm: int | None
    build: str | None
    model_filename: str | None
    model_type: str | None
    raw: str
    """The statistics, line by line."""


def read_divergence(text: str) -> Divergence:
    """The statistics in an output. Raises BadDivergence where there are none."""
    kld, same_top = _last(_KLD, text), _last(_SAME_TOP, text)
    if kld is None and same_top is None:
        raise BadDivergence(
            "no statistics of a KL divergence: they stand at the end of "
            "llama-perplexity --kl-divergence --kl-divergence-base FILE"
        )
    if len(_KLD.findall(text)) > 1:
        raise BadDivergence(
            "several divergences in one file: give a file of each quant"
        )
    build, file, type_ = (_BUILD.search(text), _FILE.search(text), _TYPE.search(text))
    return Divergence(
        kld_nnats=_scaled(kld, "mean", _NNATS),
        kld_error_nnats=_scaled(kld, "error", _NNATS),
        same_top_ppm=_scaled(same_top, "mean", _PPM_OF_PERCENT),
        same_top_error_ppm=_scaled(same_top, "error", _PPM_OF_PERCENT),
        build=f"{build[2]} ({build[1]})" if build else None,
        model_filename=file[1] if file else None,
        model_type=type_[1] if type_ else None,
        raw="\n".join(match[0].rstrip() for match in _STATISTICS.finditer(text)),
    )


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return next(iter(reversed(list(pattern.finditer(text)))), None)


def _scaled(found: re.Match[str] | None, name: str, scale: int) -> int | None:
    """A figure in whole units; what is printed has fewer digits than these."""
    if found is None or found[name] is None:
        return None
    try:
        return round(exact_number(found[name]) * scale)
    except BeyondFigures:
        raise BadDivergence(f"{found[name]:.40} is beyond any figure") from None
