"""The methods' pages: of the cards, the catalogue, docs/networks.md, notebooks/texts.yaml and docs/methods.yaml."""

from __future__ import annotations

import importlib
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from likeness.methods import MethodCard, card
from likeness.methods.resolve import BUILT_IN
from likeness.weights.catalogue import Entry, entries

DOCS = Path(__file__).parent
ROOT = DOCS.parent
NEEDS = {
    "references": ("photographs of the same person", "references.md"),
    "hole": ("a mask of what to fill", "inpainting.md"),
    "landmarks": ("68 landmarks of each face, in a file", "restoring.md#landmarks"),
}
KINDS = {
    "one pass": "one pass through a network",
    "iterative": "several steps of a network",
    "optimisation": "a search for each face, minutes to hours",
}
FLAGS = ("steps", "fidelity", "seconds")  # options that have a flag of their own


def address(name: str) -> str:
    """The page of a method, below docs/."""
    return f"methods/{name}.md"


@cache
def said() -> dict[str, dict[str, Any]]:
    """Of docs/methods.yaml, by method."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((DOCS / "methods.yaml").read_text(encoding="utf-8"))
    return found


@cache
def notebooks() -> ModuleType:
    """notebooks/build.py: its texts, and its way of showing published figures."""
    folder = str(ROOT / "notebooks")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("build")
    finally:
        sys.path.remove(folder)


def text_of(name: str) -> Any:
    """The entry of notebooks/texts.yaml that a method belongs to. Raises StopIteration when there is none."""
    return next(text for text in notebooks().read_texts() if name in text.methods)


def method_page(name: str) -> str:
    """The page of one method, as Markdown."""
    facts, text, ours = card(name), text_of(name), said()[name]
    parts = [
        f"# {facts.title}",
        f"{text.what.strip()} {ours.get('what', '')}".strip(),
        f"**When to take it.** {ours['pick']}",
        in_short(facts),
        "## Good at\n\n" + bullets([*text.good, *ours.get("good", ())]),
        "## Bad at\n\n" + bullets([*text.bad, *ours.get("bad", ())]),
        "## Use\n\n" + use(name, facts, text, ours),
        "## Options\n\n" + options(facts),
        "## Weights\n\n" + weights(name, facts),
        "## Time and memory\n\n" + speed(name),
    ]
    if rows := notebooks().figures(text.rows):
        parts.append(
            "## Published figures\n\nEach as its source prints it (↑ higher is better). Never compare across sources: "
            f"the pictures differ.\n\n| source | as | figures |\n|---|---|---|\n{rows}"
        )
    parts.append(
        "[How the methods compare](../choosing.md) · [what the sources' short names mean](../papers.md) · "
        "[what a restored face is](../identity-and-ethics.md)"
    )
    return "\n\n".join(parts) + "\n"


def in_short(facts: MethodCard) -> str:
    """A table of what a reader looks for first."""
    needs = ", ".join(f"[{NEEDS[need][0]}](../{NEEDS[need][1]})" for need in facts.needs) or "nothing beside the photo"
    rows = [
        ("name for `--method`", f"`{facts.name}`"),
        ("paper", facts.paper),
        ("licence of the weights", facts.licence),
        ("commercial use", commercial(facts.name)),
        ("how it works", KINDS[facts.kind]),
        ("needs", needs),
        ("other seeds give other faces", "yes: `--samples 4` shows how far" if facts.stochastic else "no"),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| {what} | {cell(value)} |" for what, value in rows)


def commercial(name: str) -> str:
    """Whether the weights may be used commercially, as the catalogue or else the card says."""
    own = its_weights(name)
    if not own:
        return "no" if "non-commercial" in card(name).licence else "depends on your own training data"
    barred = {one.non_commercial for one in own if one.role == "net"}
    return "depends on the file, see below" if len(barred) > 1 else "no" if barred == {True} else "yes, see below"


def its_weights(name: str) -> list[Entry]:
    """The catalogue's entries of a method; files that it shares with another are at that one."""
    own = [one for one in entries() if one.method == name]
    wanted = set(said()[name].get("weights", ()))
    return own + [one for one in entries() if one.name in wanted and one not in own]


def use(name: str, facts: MethodCard, text: Any, ours: dict[str, Any]) -> str:
    """Commands, and what else a user must know."""
    lines = [] if name == BUILT_IN else pulling(name)
    lines += ours["commands"]
    parts = ["```sh\n" + "\n".join(lines) + "\n```"]
    parts += [f"{ours['note'].strip()}"] if "note" in ours else []
    parts.append(
        f"In a notebook, on Colab or your own machine: `notebooks/{text.file}.ipynb` of the repository. "
        f"All that the program knows of it: `likeness models show {name}`."
    )
    return "\n\n".join(parts)


def pulling(name: str) -> list[str]:
    """The commands that get the weights by themselves."""
    by_program = [one for one in its_weights(name) if one.urls and (one.default or one.role != "net")]
    return [f"likeness models pull {one.name}{' --accept-licence' if one.non_commercial else ''}" for one in by_program]


def options(facts: MethodCard) -> str:
    """The card's options, with the flag that sets each."""
    if not facts.options:
        return "None."
    rows = [
        f"| `--{o.name} N` | {o.default} | {o.low} to {o.high} | {cell(o.help)} |"
        if o.name in FLAGS
        else f"| `--option {o.name}=N` | {o.default} | {o.low} to {o.high} | {cell(o.help)} |"
        for o in facts.options
    ]
    return "| option | default | range | what it does |\n|---|---|---|---|\n" + "\n".join(rows)


def weights(name: str, facts: MethodCard) -> str:
    """The files, their licence, and how each is had."""
    own = its_weights(name)
    if not own:
        files = ", ".join(f"`{where}`" for where in facts.checkpoints.values())
        return f"{said()[name]['had'].strip()} ({files})"
    rows = []
    for one in own:
        size = "not stated" if one.bytes is None else f"{one.bytes / 1e6:.0f} MB"
        digest = "known" if one.sha256 else "pinned at first use"
        where = "pull" if one.urls else "add"
        note = f" {one.note}" if one.note else ""
        rows.append(
            f"| `{one.name}` | `{one.file}` | {one.role} | {size} | {digest} | {where} | {cell(note.strip())} |"
        )
    terms = dict.fromkeys(f"**{one.licence}**. {one.permits}" for one in own)
    pages = dict.fromkeys(f"<{one.page}>" for one in own)
    by_hand = [one for one in own if not one.urls]
    parts = [
        *terms,
        "| name | file | what for | size | sha256 | how |\n|---|---|---|---|---|---|\n" + "\n".join(rows),
        bullets(f"`{one.name}`: {one.note}" for one in own if one.note),
        "*pull*: `likeness models pull NAME` fetches it and checks it. *add*: no program may fetch it; get it by hand, "
        "then `likeness models add NAME FILE`.",
        f"From: {', '.join(pages)}",
    ]
    if by_hand:
        lines = "\n".join(
            f"- `likeness models add {one.name} {'FOLDER' if one.parts else one.file}`" for one in by_hand
        )
        parts.insert(-1, f"By hand:\n\n{lines}")
    return "\n\n".join(filter(None, parts))


def speed(name: str) -> str:
    """What docs/networks.md measured, and what docs/methods.yaml quotes from elsewhere."""
    ours, found = said()[name], []
    for row in ours.get("rows", ()):
        seconds, memory, where = measured()[row]
        found.append(f"| {row} | {seconds} | {memory} | {where} |")
    parts = []
    if found:
        head = "| network | seconds a face | peak memory, MB | in |\n|---|---|---|---|\n"
        parts.append(f"On two CPU cores, float32 ([all figures, and how they were taken](../networks.md)):\n\n{head}")
        parts[-1] += "\n".join(found)
    if "speed" in ours:
        parts.append(ours["speed"].strip())
    return "\n\n".join(parts) or "Not measured yet."


@cache
def measured() -> dict[str, tuple[str, str, str]]:
    """Of docs/networks.md: seconds, peak memory and the section, by network."""
    found: dict[str, tuple[str, str, str]] = {}
    section = "the main table"
    for line in (DOCS / "networks.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        row = re.fullmatch(r"\| ([^|]+) \| ([0-9.]+) \| ([0-9]+) \|", line)
        if row is not None and "attention" not in section:
            found.setdefault(row[1], (row[2], row[3], section))
    return found


def bullets(lines: Any) -> str:
    """A list."""
    return "\n".join(f"- {line.strip()}" for line in lines)


def cell(text: str) -> str:
    """A text within a table."""
    return " ".join(text.split()).replace("|", "\\|")
