"""Reading the documentation: its pages, their fenced blocks, and the command lines in them."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SHELL = ("sh", "bash", "shell", "console")
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```\s*$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line on which it begins."""

    kind: str
    text: str
    line: int

    @property
    def shell(self) -> bool:
        """Whether people will type it into a terminal."""
        return self.kind in SHELL


def pages() -> list[Path]:
    """The README and every page that lies in docs/."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def made_pages() -> dict[str, str]:
    """The method pages, as docs/method_pages.py makes them, by their name below docs/."""
    import importlib

    from likeness.methods import METHODS

    sys.path.insert(0, str(DOCS))
    try:
        made = importlib.import_module("method_pages")
    finally:
        sys.path.remove(str(DOCS))
    return {made.address(name): made.method_page(name) for name in METHODS}


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for one in _FENCE.finditer(text):
        body = re.sub(rf"^{one['indent']}", "", one["body"], flags=re.MULTILINE)
        found.append(Block(one["kind"], body, text[: one.start()].count("\n") + 2))
    return found


def commands(block: Block) -> list[tuple[int, str]]:
    """The command lines of a shell block with their line numbers: continued lines joined, comments left out."""
    found: list[tuple[int, str]] = []
    waiting = ""
    for offset, raw in enumerate(block.text.splitlines()):
        line = waiting + raw
        if line.endswith("\\"):
            waiting = line[:-1]
            continue
        waiting = ""
        if shlex.split(line, comments=True):
            found.append((block.line + offset, line.strip()))
    return found


def spans(text: str) -> list[str]:
    """The `code` in the prose of a page: whatever stands between single backticks outside of fenced blocks."""
    prose = _FENCE.sub("", text)
    return [" ".join(one.split()) for one in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose) if one.strip()]
