"""The checkout that a command is started from, where it is started from one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

_GIT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Checkout:
    """A commit, and whether tracked files differ from it."""

    commit: str
    is_modified: bool | None
    """None where git does not say."""

    def __str__(self) -> str:
        if self.is_modified is None:
            return f"{self.commit} (whether it is modified is not known)"
        return f"{self.commit} (modified)" if self.is_modified else self.commit


def read_checkout() -> Checkout | None:
    """The checkout of the working folder; None outside of one, or without git."""
    commit = _ask_git("rev-parse", "HEAD")
    if not commit:
        return None
    changes = _ask_git("status", "--porcelain", "--untracked-files=no")
    return Checkout(commit, None if changes is None else bool(changes))


def _ask_git(*arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
