"""Make the notebooks from the methods' cards, the published tables and texts.yaml, so that they do not drift.

    python notebooks/build.py             # writes notebooks/*.ipynb
    python notebooks/build.py -o DIR      # writes them there

The same input gives the same bytes: no outputs, no execution counts, and cells with names for ids.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cells
import yaml

from likeness.methods import MethodCard, card
from likeness.photo import atomic_write_text
from likeness.study.published import Column, tables
from likeness.weights.catalogue import entries

HERE = Path(__file__).parent
FROM_PAPERS = ("papers/", "the table of CelebA-Test that the PMRF repository shows")  # sources of the figures shown
COMPARE = "compare"
GIVEN = {"references": "REFERENCE", "hole": "HOLE", "landmarks": "LANDMARKS"}
GIVEN_HELP = {
    "references": "a folder of photographs of the same person; empty: the folder references/",
    "hole": 'a mask, a folder of masks, or "black"',
    "landmarks": "a JSON file; empty: rough ones are made",
}
PHOTOS_HELP = "a photo or a folder; empty: an upload in Colab, else the folder photos/, else a demo"
Cell = dict[str, Any]


@dataclass(frozen=True)
class Text:
    """An entry of texts.yaml, which says what each field is."""

    file: str
    methods: list[str]
    what: str
    good: list[str]
    bad: list[str]
    rows: list[str] = field(default_factory=list)
    example: str = "{}"
    needed: str = "[MODEL]"
    note: str = ""
    extras: list[str] = field(default_factory=lambda: ["demo"])

    @property
    def cards(self) -> list[MethodCard]:
        """Those of the methods, in their order."""
        return [card(name) for name in self.methods]


def read_texts() -> list[Text]:
    """The entries of texts.yaml."""
    return [Text(**one) for one in yaml.safe_load((HERE / "texts.yaml").read_text(encoding="utf-8"))]


def method_notebook(text: Text) -> dict[str, Any]:
    """The notebook of one entry, as plain data."""
    first = text.cards[0]
    given = "".join(', "--samples", SAMPLES' for _ in range(first.stochastic)) + (", *given" if first.needs else "")
    made = [
        markdown("title", title(text)),
        markdown("settings", settings(text)),
        code("parameters", parameters(text), "parameters"),
        code("setup", cells.SETUP.replace("@EXTRAS@", ",".join(text.extras))),
        markdown("weights-text", weights_text(text)),
        code("weights", weights_code(text)),
        code("photos", cells.PHOTOS),
        *(code(need, cells.NEEDS[need]) for need in first.needs),
        markdown("restore-text", restore_text(text)),
        code("restore", cells.RESTORE.replace("@GIVEN@", given)),
        markdown("results-text", RESULTS_TEXT),
        code("results", cells.RESULTS_OF_ONE),
    ]
    return notebook(made, gpu=first.name != "likeness")


def compare_notebook(texts: list[Text]) -> dict[str, Any]:
    """The one that compares."""
    further: dict[str, list[str]] = {}
    for text in texts:
        needed = [one.name for one in entries() if f'"{one.name}"' in text.needed]
        further |= {method: needed for method in text.methods if needed}
    lines = "".join(f"    {json.dumps(name)}: {json.dumps(needed)},\n" for name, needed in further.items())
    choice = "\n".join(
        f"- [{one.title}]({text.file}.ipynb): `{one.name}`"
        for text in texts
        for one in text.cards
        if not one.needs and (text.file == "likeness" or has_released(text))
    )
    made = [
        markdown("title", COMPARE_TITLE),
        markdown("settings", COMPARE_SETTINGS + choice),
        code("parameters", COMPARE_PARAMETERS, "parameters"),
        code("setup", cells.SETUP.replace("@EXTRAS@", "demo,metrics")),
        code("weights", cells.WEIGHTS_COMPARED.replace("@FURTHER@", f"{{\n{lines}}}")),
        code("photos", cells.PHOTOS),
        markdown("compare-text", COMPARE_TEXT),
        code("compare", cells.COMPARE),
        markdown("results-text", COMPARE_RESULTS_TEXT),
        code("results", cells.RESULTS_OF_ALL),
    ]
    return notebook(made, gpu=True)


def title(text: Text) -> str:
    """Name, paper, licence, what it is, and what the documents say of it."""
    names = " and ".join(one.title for one in text.cards)
    papers = "\n".join(f"- {one.paper}\n- licence: {one.licence}" for one in text.cards)
    said = "\n".join([*(f"- good: {one}" for one in text.good), *(f"- bad: {one}" for one in text.bad)])
    parts = [f"# {names}", text.what.strip(), papers, f"What the documents in `docs/papers.md` say of it:\n\n{said}"]
    if rows := figures(text.rows):
        parts.append(
            "Published figures, each as its source prints it; never compare across sources (↑ higher is better):\n\n"
            f"| source | as | figures |\n|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts)


def figures(names: list[str]) -> str:
    """Rows of Markdown: what the papers' tables have of the method."""
    found = []
    for table in (one for one in tables() if one.source.startswith(FROM_PAPERS)):
        for name, row in table.rows.items():
            if name in names:
                pairs = zip(table.columns, row, strict=True)
                values = ", ".join(f"{heading(column)} {value:g}" for column, value in pairs if value is not None)
                found.append(f"| {table.source} | {name} | {values} |")
    return "\n".join(found)


def heading(column: Column) -> str:
    """ "PSNR ↑"."""
    return f"{column.name} {'↑' if column.higher_is_better else '↓'}"


def settings(text: Text) -> str:
    """What there is to choose, from the card."""
    parts = ["## Settings", "Change the next cell, then run all cells. Outputs are written below `outputs/`."]
    if text.note:
        parts.append(text.note.strip())
    for one in text.cards:
        rows = "\n".join(f"| `{o.name}` | {o.default} | {o.low} to {o.high} | {o.help} |" for o in one.options)
        whose = f" of {one.title}" if len(text.cards) > 1 else ""
        if one.options:
            parts.append(f"OPTIONS{whose}:\n\n| option | default | range | what it does |\n|---|---|---|---|\n{rows}")
        else:
            parts.append(f"There are no options{whose}: leave OPTIONS empty.")
    return "\n\n".join(parts)


def parameters(text: Text) -> str:
    """The cell that a user changes."""
    first = text.cards[0]
    others = list(text.methods)
    others += [one.name for one in entries() if one.method in text.methods and one.restores]
    others = [name for name in dict.fromkeys(others) if name != first.name]
    lines = [f'MODEL = "{first.name}"' + (f"  # or {', '.join(others)}" if others else "")]
    lines.append('WEIGHTS = ""  # a file of your own instead of the released weights; MODEL is then a method')
    if has_released(text):
        lines.append("ACCEPT_LICENCE = False  # True: I have read the licence of the weights below and accept it")
    lines.append(f'PHOTOS = ""  # {PHOTOS_HELP}')
    lines += [f'{GIVEN[need]} = ""  # {GIVEN_HELP[need]}' for need in first.needs]
    lines.append("OPTIONS = {}" + (f"  # such as {text.example}" if first.options else ""))
    lines.append("SEED = 0  # the same seed gives the same pixels")
    if first.stochastic:
        lines.append("SAMPLES = 1  # more: so many plausible faces, and a map of where they differ")
    lines.append('DEVICE = "auto"  # cpu, cuda or mps')
    return "\n".join(lines)


def has_released(text: Text) -> bool:
    """Whether there are weights to fetch."""
    return any(one.method in text.methods for one in entries())


def weights_text(text: Text) -> str:
    """Which weights, and how they come here."""
    if not has_released(text):
        return "## The weights"
    return (
        "## The weights\n\nThe next cell shows their licence. Only with `ACCEPT_LICENCE = True` it fetches them "
        "(`likeness models pull`), checks them and keeps them for the next time. A file that no program may fetch: "
        "`likeness models add NAME FILE` puts it where it belongs, or name it in WEIGHTS."
    )


def weights_code(text: Text) -> str:
    """The cell that gets them."""
    if text.file == "likeness":
        return cells.WEIGHTS_BUILT_IN
    if not has_released(text):
        return cells.WEIGHTS_OWN
    return cells.WEIGHTS_RELEASED.replace("@NEEDED@", f"({text.needed})" if " if " in text.needed else text.needed)


def restore_text(text: Text) -> str:
    """Where the results go."""
    words = (
        f"## Restoring\n\nEvery face that is found is restored and pasted back. The pictures and `report.json` go to "
        f"`outputs/{text.methods[0]}/` (the name that MODEL has). What is done and intact is not done again."
    )
    if text.cards[0].kind == "one pass" or text.file == "likeness":
        return words
    return f"{words} This method takes its time, above all without a GPU; nothing is shown before it is done."


RESULTS_TEXT = """\
## Results: the evidence, before and after

A sharp face may be another person's. For each face the report says how far its identity moved between before and after
(0: not at all), and why it was not restored, if it was not. On very degraded photographs no such number is certain."""

COMPARE_TITLE = """\
# Comparing methods

Several methods restore the same photographs; `likeness compare` measures what came out, ranks by a stated rule, and
makes one page with a grid, sliders, difference maps and the evidence for each face. What each method is, and what the
papers say of it, is in its own notebook."""

COMPARE_SETTINGS = """\
## Settings

Change the next cell, then run all cells. METHODS are names, each perhaps with options (`likeness:steps=1`,
`codeformer:fidelity=0.7`), or files of weights. With TRUTH, a folder of the undegraded pictures of the same names,
fidelity is measured too. PREFER says what the ranking goes by. The methods that need nothing but a photograph:

"""

COMPARE_PARAMETERS = f"""\
METHODS = ["likeness", "likeness:steps=1"]
ACCEPT_LICENCE = False  # True: I have read the licences of the weights below and accept them
PHOTOS = ""  # {PHOTOS_HELP}
TRUTH = ""  # a folder of the true pictures; the demo brings its own
REFERENCE = ""  # a folder of photographs of the same people, for instantrestore
PREFER = "identity"  # or fidelity, perception, speed
METRICS = ""  # such as "psnr,ssim,niqe"; empty: those that PREFER needs, and the usual ones
SEED = 0  # the same seed gives the same pixels
DEVICE = "auto"  # cpu, cuda or mps"""

COMPARE_TEXT = """\
## Comparing

The results go to `outputs/compare/`: a folder for each method, the page `index.html`, and the figures as
`compare.json` and `values.csv`. A method that cannot run does not stop the others; the table says why."""

COMPARE_RESULTS_TEXT = """\
## Results

The table above has the figures with their intervals. Below are the evidence for each face and the pictures side by
side; the link opens the page (in Colab: download `outputs/compare/index.html`, it needs no network)."""


def markdown(name: str, source: str) -> Cell:
    """A cell of text."""
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source.splitlines(keepends=True)}


def code(name: str, source: str, *tags: str) -> Cell:
    """A cell of code that has not run."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }


def notebook(made: list[Cell], *, gpu: bool) -> dict[str, Any]:
    """A notebook of these cells; ``gpu``: Colab is to offer one."""
    metadata: dict[str, Any] = {
        "colab": {"provenance": []},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    if gpu:
        metadata["accelerator"] = "GPU"
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def build(output: Path) -> list[Path]:
    """Write all notebooks into ``output``; returns their paths."""
    texts = read_texts()
    made = {text.file: method_notebook(text) for text in texts} | {COMPARE: compare_notebook(texts)}
    paths = []
    for name, data in made.items():
        paths.append(output / f"{name}.ipynb")
        atomic_write_text(paths[-1], json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return paths


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the notebooks.")
    parser.add_argument("-o", "--output", type=Path, default=HERE)
    for path in build(parser.parse_args().output):
        print(path)
