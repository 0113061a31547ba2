"""Every command line and every Python block of the documentation, typed as it stands there, page by page, in order.

A command that wants weights which are not here must end in the line that says what to type, and its options must be
those of the method: so a wrong name makes the test fail on every machine. ``pytest -s`` prints how the lines ended.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import documents
import pytest
from documents import Block
from furniture import clip, furnish
from workplace import NOT_TYPED, REFUSED, Workplace, typed_in

import scenes

# Pages that are left to pytest -m slow, and why: each takes 5 to 75 seconds on two cores.
SLOW = {
    "README.md": "compares, benches and measures",
    "benchmarks.md": "benches; comparing.md and measuring.md have the same commands",
    "comparing.md": "compares, benches, measures and studies identity",
    "measuring.md": "the same in full",
    "provenance.md": "restores, five times",
    "python.md": "restores, and compares",
    "restoring.md": "restores with most of the options",
    "scale.md": "starts Ray clusters",
    "training.md": "trains, three times",
    "troubleshooting.md": "restores and exports",
    "video.md": "restores a clip, frame by frame",
}

FOREIGN = (
    "--logdir",
    "--num_processes",
    "--faces",
    "--others",
    "--validation",
)  # flags of other programs that the prose names


def named_pages() -> list[str]:
    """The pages with something to type, as the README's and their names below docs/."""
    found = []
    for path in documents.pages():
        name = path.relative_to(documents.DOCS).as_posix() if path.is_relative_to(documents.DOCS) else path.name
        if any(block.shell or block.kind == "python" for block in documents.blocks(path.read_text(encoding="utf-8"))):
            found.append(name)
    return found


def text_of(name: str) -> str:
    """The page's Markdown."""
    folder = documents.ROOT if name == "README.md" else documents.DOCS
    return (folder / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages name, made once."""
    return furnish(tmp_path_factory.mktemp("furnished"))


@pytest.fixture
def workplace(
    furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., scenes.Ended]
) -> Iterator[Workplace]:
    """A fresh copy of it as the current folder, without the network and without any pulled weights."""
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LIKENESS_OFFLINE", "1")
    folder = tmp_path / "here"
    shutil.copytree(furnished, folder, symlinks=True)
    place = Workplace(folder, command)
    with typed_in(folder):
        yield place
        place.stop()
    counts = Counter(one.kind for one in place.outcomes)
    print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))


def type_all(place: Workplace, name: str, found: list[Block]) -> None:
    """Type what stands in the blocks."""
    for block in found:
        if block.shell:
            for _, line in documents.commands(block):
                place.type(line)
        elif block.kind == "python":
            place.run(block.text, f"{name}, line {block.line}")
    assert place.outcomes, name


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in named_pages()]
)
def test_what_a_page_says_to_type_works(workplace: Workplace, name: str) -> None:
    text = text_of(name)
    if "likeness video" in text:
        pytest.importorskip("av", reason="needs PyAV: the extra video")
        clip(workplace.folder / "in.mp4")
    if "likeness web" in text:
        pytest.importorskip("gradio", reason="needs gradio: the extra web")
        if shutil.which("curl") is None:
            pytest.skip("needs curl")
    if "--ray" in text:
        pytest.importorskip("ray", reason="needs Ray: the extra scale")
    if "likeness train" in text:
        pytest.importorskip("accelerate", reason="needs accelerate: the extra train")
    if "--format onnx" in text:
        pytest.importorskip("onnxscript", reason="needs onnx: the extra fast")
    type_all(workplace, name, documents.blocks(text))


def test_what_the_method_pages_say_to_type_works(workplace: Workplace) -> None:
    made = documents.made_pages()
    for name, text in made.items():
        type_all(workplace, name, documents.blocks(text))
    kinds = Counter(one.kind for one in workplace.outcomes)
    assert kinds["done"] >= 3, kinds  # the built-in model's
    assert kinds["weights"] >= 2 * 15, kinds  # the others want weights, and say which


def test_a_wrong_option_and_a_wrong_name_are_noticed(workplace: Workplace) -> None:
    """The check of the check."""
    for line in (
        "likeness restore old.jpg -o out --no-such-option 3",
        "likeness restore old.jpg -o out --method gfpgam",
        "likeness restore old.jpg -o out --method gfpgan --option strength=0.5",
        "likeness compare old.jpg -o out --methods gfpgan:strength=0.5",
        "likeness models pull gfpgan-1.5 --accept-licence",
        "likeness restore no-such-photo.jpg -o out",
        "gfpgan old.jpg",
    ):
        with pytest.raises(AssertionError):
            workplace.type(line)


def everything() -> dict[str, str]:
    """All pages with something to type, and those that are made, by name."""
    return {name: text_of(name) for name in named_pages()} | documents.made_pages()


def test_commands_and_flags_in_the_prose_exist() -> None:
    """`likeness compare` and `--identity-limit` in a sentence: not executed, but what they name must be there."""
    from typer.main import get_command

    from likeness.cli import app

    root: Any = get_command(app)
    flags = {"--help", "--version", *FOREIGN}
    known: dict[tuple[str, ...], Any] = {(): root}
    for name, one in root.commands.items():
        known[name,] = one
        known.update({(name, sub): inner for sub, inner in getattr(one, "commands", {}).items()})
    for one in known.values():
        flags.update(flag for parameter in one.params for flag in (*parameter.opts, *parameter.secondary_opts))
    wrong = []
    for page, text in everything().items():
        for span in documents.spans(text):
            words = span.split()
            wrong += [f"{page}: {span}" for word in words if word.startswith("--") and word.split("=")[0] not in flags]
            if words[0] == "likeness" and len(words) > 1 and re.fullmatch("[a-z]+", words[1]):
                command = known.get(tuple(words[1:3]), known.get((words[1],)))
                if command is None:
                    wrong.append(f"{page}: {span}")
                    continue
                its = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
                wrong += [
                    f"{page}: {span}" for word in words if word.startswith("--") and word.split("=")[0] not in its
                ]
    assert not wrong, wrong


def test_the_exceptions_are_all_in_use() -> None:
    """A line that is no longer in the documentation must not stay on the lists of exceptions."""
    shell = [block for text in everything().values() for block in documents.blocks(text) if block.shell]
    lines = [line for block in shell for _, line in documents.commands(block)]
    unused = [pattern for pattern in (*NOT_TYPED, *REFUSED) if not any(re.fullmatch(pattern, line) for line in lines)]
    assert not unused, unused
    assert set(SLOW) <= set(named_pages())
