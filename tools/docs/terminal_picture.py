"""Draws the closing screen of the reference sweep as an SVG, as a terminal shows it.

Run `python tools/docs/terminal_picture.py` after its words or its look have changed. It
needs a pseudo-terminal, so Linux or macOS.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html import unescape
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "closing-screen.svg"
WIDTH = 108
"""Columns of the terminal."""
TITLE = "orket run quickstart"
ABOUT = "The closing screen of orket run quickstart"
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" \
xmlns="http://www.w3.org/2000/svg">
    <title>ABOUT</title>
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
            monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" \
clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""
"""Rich's own, without fonts of another host."""


def reference_sweep() -> str:
    """The sweep that ships: the oldest of the warehouse."""
    from orket.warehouse import Warehouse

    return Warehouse.open(str(ROOT / "warehouse")).sweep_ids()[0]


def closing_screen() -> str:
    """What `orket show` writes to a terminal of WIDTH columns, with its colours."""
    import pty
    import termios

    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (60, WIDTH))
    process = subprocess.Popen(
        [sys.executable, "-m", "orket", "show", reference_sweep(), "-w", "warehouse"],
        cwd=ROOT,
        stdout=child,
        env={
            **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "PYTHONUTF8": "1",
        },
    )
    os.close(child)
    said = bytearray()
    try:
        while part := os.read(parent, 65536):
            said += part
    except OSError:
        pass  # Linux ends a pseudo-terminal so.
    os.close(parent)
    if process.wait():
        raise SystemExit("orket show failed")
    return said.decode().replace("\r\n", "\n")


def draw(screen: str, title: str = TITLE, about: str = ABOUT) -> str:
    """The SVG of a screen, up to the line that tells which sweep it is.

    `title` stands above it, `about` is read aloud in its place.
    """
    shown = re.split(r"^Sweep .*\n", screen, maxsplit=1, flags=re.MULTILINE)[0]
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    console.print(Text.from_ansi(shown.rstrip()), "\n")
    return console.export_svg(
        title=title,
        theme=SVG_EXPORT_THEME,
        code_format=FORMAT.replace("ABOUT", about),
        unique_id="orket",
    )


def words_of(picture: Path) -> list[str]:
    """The words that stand in such a picture, in their order."""
    tree = ElementTree.parse(picture)
    spans = [
        ("".join(node.itertext()), float(node.get("y", "0")), float(node.get("x", "0")))
        for node in tree.iter("{http://www.w3.org/2000/svg}text")
        if "clip-path" in node.attrib
    ]
    spans.sort(key=lambda span: (span[1], span[2]))
    text = " ".join(unescape(span[0]).replace("\xa0", " ") for span in spans)
    return text.split()


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(closing_screen()), encoding="utf-8", newline="\n")
    print(f"wrote {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    main()
