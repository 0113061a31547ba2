"""What mkdocs makes beside the pages that lie here: a page for each method, and the tables of choosing.md.

Everything comes from the cards, the catalogue of weights, docs/networks.md, notebooks/texts.yaml and docs/methods.yaml,
so that no page can drift from the code. A comment ``<!-- likeness: NAME -->`` in a page is replaced by what ``PARTS``
makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from method_pages import NEEDS, ROOT, address, bullets, cell, commercial, its_weights, measured, method_page, said
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from likeness.methods import METHODS, card
from likeness.methods.resolve import BUILT_IN
from likeness.weights.builtin import builtin_path
from likeness.weights.catalogue import HELPERS, entries

SHOWN = 3  # options of a method in the table of all
MARK = re.compile(r"<!-- likeness: ([a-z-]+) -->")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the method pages into the navigation, in the order of the registry."""
    for part in config.nav or ():
        if isinstance(part, dict) and "Methods" in part:
            part["Methods"] = [{card(name).title: address(name)} for name in METHODS]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the method pages."""
    for name in METHODS:
        files.append(File.generated(config, address(name), content=method_page(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in the parts that are made. Raises KeyError for a mark that nobody makes."""
    return MARK.sub(lambda mark: PARTS[mark[1]](), markdown)


def in_a_row(name: str) -> str:
    """The cell "seconds a face" of the table of methods."""
    ours = said()[name]
    seconds = [measured()[row][0] for row in ours.get("rows", ())]
    return ours.get("in_a_row") or " / ".join(seconds) or "not measured"


def methods_table() -> str:
    """All methods, a row each."""
    rows = []
    for name in METHODS:
        facts, own = card(name), its_weights(name)
        nets = [one for one in own if one.default] or own[:1]
        sizes = [one.bytes for one in nets if one.bytes]
        if name == BUILT_IN:
            sizes = [builtin_path(name).stat().st_size]
        size = said()[name].get("size") or (f"{sizes[0] / 1e6:.0f} MB" if sizes else "not stated")
        needs = ", ".join(NEEDS[need][0] for need in facts.needs) or "–"
        chosen = ", ".join(f"`{option.name}`" for option in facts.options[:SHOWN]) or "–"
        chosen += f" and {len(facts.options) - SHOWN} more" if len(facts.options) > SHOWN else ""
        licence = commercial(name).partition(",")[0]
        rows.append(
            f"| [{facts.title}]({address(name)}) | {facts.kind} | {needs} | {chosen} | {licence} | {size} "
            f"| {in_a_row(name)} |"
        )
    head = "| method | kind | needs | options | commercial use | weights | seconds a face |"
    return f"{head}\n|---|---|---|---|---|---|---|\n" + "\n".join(rows)


def picks() -> str:
    """When to take which, a line each."""
    return bullets(f"[{card(name).title}]({address(name)}): {said()[name]['pick'].strip()}" for name in METHODS)


def helpers_table() -> str:
    """The weights of detectors, parsers, up-samplers, recognisers and metrics."""
    rows = []
    for one in entries():
        if one.method in HELPERS:
            size = "not stated" if one.bytes is None else f"{one.bytes / 1e6:.0f} MB"
            use_ = "no" if one.non_commercial else "yes"
            how = "pull" if one.urls else "add"
            rows.append(f"| `{one.name}` | {one.method} | {size} | {cell(one.licence)} | {use_} | {how} |")
    return "| name | what for | size | licence | commercial use | how |\n|---|---|---|---|---|---|\n" + "\n".join(rows)


def recipes_table() -> str:
    """The degradations that ``likeness degrade`` knows."""
    from likeness.degrade import RECIPES

    rows = [f"| `{one.name}` | {cell(one.source)} |" for one in RECIPES.values()]
    return "| recipe | after |\n|---|---|\n" + "\n".join(rows)


def protocols_table() -> str:
    """The named ways to measure, and which published tables stand beside them."""
    from likeness.study.protocols import protocols
    from likeness.study.published import tables_for

    rows = []
    for one in protocols():
        metrics = ", ".join(f"`{metric}`" for metric in one.metrics)
        printed = "; ".join(table.source for table in tables_for(one.name)) or "none: nobody else has these photographs"
        rows.append(f"| `{one.name}` | {cell(one.title)} | `{one.dataset or '--data'}` | {metrics} | {cell(printed)} |")
    head = "| protocol | what | data set | metrics | published tables beside it |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows)


def datasets_table() -> str:
    """The data sets of the papers."""
    from likeness.study.datasets import datasets

    rows = []
    for one in datasets():
        count = f"{one.count:,}" if one.count else "not stated"
        use_ = "not stated" if one.licence is None else "no" if one.non_commercial else "yes"
        licence = cell(one.licence or "none is known")
        title = f"[{cell(one.title)}]({one.page})" if one.page else cell(one.title)
        rows.append(f"| `{one.name}` | {title} | {count} | {licence} | {use_} |")
    return "| name | what | pictures | licence | commercial use |\n|---|---|---|---|---|\n" + "\n".join(rows)


def adding() -> str:
    """The recipe of CONTRIBUTING.md: one source only."""
    return section("CONTRIBUTING.md", "Add a method")


def trainable() -> str:
    """The recipe for training, from CONTRIBUTING.md."""
    return section("CONTRIBUTING.md", "Make a method trainable")


def house() -> str:
    """The layers, from CONTRIBUTING.md."""
    return section("CONTRIBUTING.md", "The house")


def hold_to() -> str:
    """What every change is held to, from CONTRIBUTING.md."""
    return section("CONTRIBUTING.md", "What we hold to")


def section(file: str, heading: str) -> str:
    """What stands below ``## heading`` in a file of the repository. Raises ValueError when it is not there."""
    text = (ROOT / file).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"{file} has no section {heading!r}")
    # Python-Markdown wants an empty line before a list or a table, and four spaces for what belongs to a point
    lines: list[str] = []
    for line in found[1].strip().splitlines():
        first = line.startswith(("- ", "1. ", "| "))
        if first and lines and lines[-1] and not lines[-1].startswith(("|", "- ", " ")):
            lines.append("")
        lines.append(re.sub(r"^ {2,3}(?=\S)", "    ", line))
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {
    "adding": adding,
    "trainable": trainable,
    "datasets": datasets_table,
    "helpers": helpers_table,
    "hold-to": hold_to,
    "house": house,
    "methods": methods_table,
    "picks": picks,
    "protocols": protocols_table,
    "recipes": recipes_table,
}
