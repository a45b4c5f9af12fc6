"""Counts that servers fill in by default are no counts."""

from __future__ import annotations


def drop_default_zeros(
    prompt_tokens: int | None, completion_tokens: int | None, empty_answer: bool
) -> tuple[int | None, int | None]:
    """Both counts, None where a 0 can only be a default.

    No prompt has 0 tokens, and no answer with text has: a server that says so did not
    count. Where it did not count the prompt, its 0 for the answer says nothing either.
    """
    if prompt_tokens == 0:
        return None, completion_tokens or None
    if completion_tokens == 0 and not empty_answer:
        return prompt_tokens, None
    return prompt_tokens, completion_tokens
