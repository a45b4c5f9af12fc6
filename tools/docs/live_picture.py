"""Draws the table of a running sweep as an SVG, as it stood on a terminal.

Run `python tools/docs/live_picture.py` after its words or its look have changed. It
makes a sweep of the demo model, in a folder that goes again, and needs tmux and the
extra `embedded`. Its figures are those of that run, so no two pictures are the same.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "live-table.svg"
WIDTH, HEIGHT = 108, 40
COMMAND = ("run", "quickstart", "--quality-only")
"""Judged for its answers alone: where the picture is made need not be quiet."""
ENOUGH = 5
"""Quants with a verdict in the picture, so that others still wait."""
_SOCKET = f"orket-picture-{os.getpid()}"
_STEP_SECONDS, _MOST_SECONDS = 0.5, 900


def live_screen() -> str:
    """The table, with its colours, when some quants are judged and others are not."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "orket", *COMMAND, "-w", f"{folder}/warehouse"]
        _tmux(
            "new-session",
            "-d",
            *("-x", str(WIDTH), "-y", str(HEIGHT)),
            f"cd {shlex.quote(folder)} && exec {shlex.join(command)}",
        )
        try:
            return _wait_for_table()
        finally:
            _tmux("kill-server")


def table_of(screen: str) -> str | None:
    """The table at the foot of a screen; None where it is not told enough yet."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    found = plain.count(" passes so far ") + plain.count(" out: ")
    lines, shown = screen.rstrip().split("\n"), plain.rstrip().split("\n")
    begins = [n for n, line in enumerate(shown) if line.startswith("So far: ")]
    is_whole = any(line.startswith("Next: ") for line in shown)
    if found < ENOUGH or not begins or not is_whole:
        return None
    return "\n".join(lines[begins[-1] :]) + "\n"


def _wait_for_table() -> str:
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until:
        time.sleep(_STEP_SECONDS)
        # -e keeps the colours, -p writes the screen here.
        table = table_of(_tmux("capture-pane", "-p", "-e"))
        if table is not None:
            return table
    raise SystemExit("the sweep did not come to its table; try: orket run quickstart")


def _tmux(*words: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI")}
    done = subprocess.run(
        ["tmux", "-L", _SOCKET, "-f", os.devnull, *words],
        env=environment | {"PYTHONPATH": str(ROOT), "COLORTERM": "truecolor"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def main() -> None:
    """Write the picture."""
    from tools.docs.terminal_picture import draw

    drawn = draw(live_screen(), f"orket {' '.join(COMMAND)}", "A sweep while it runs")
    PICTURE.write_text(drawn, encoding="utf-8", newline="\n")
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    main()
