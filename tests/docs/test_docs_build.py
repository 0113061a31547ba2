"""The documentation builds without a warning, is whole, and asks nothing of the network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import documents
import pytest
import yaml

from likeness.methods import METHODS

pytest.importorskip("mkdocs", reason="needs mkdocs: the extra docs")
pytest.importorskip("material", reason="needs mkdocs-material: the extra docs")
pytest.importorskip("mkdocstrings", reason="needs mkdocstrings: the extra docs")

LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}


@dataclass
class Html(HTMLParser):
    """What a built page loads, links to and can be linked at."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag says."""
        given = {name: value or "" for name, value in attrs}
        if tag in LOADED and LOADED[tag] in given:
            self.loads.append(given[LOADED[tag]])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.anchors |= {given[name] for name in ("id", "name") if name in given}


@dataclass(frozen=True)
class Built:
    """The site, and what mkdocs said."""

    site: Path
    said: str
    pages: dict[Path, Html]


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """``mkdocs build --strict`` as ``make docs`` does it."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--config-file",
            str(root / "mkdocs.yml"),
            "-d",
            str(site),
        ],
        capture_output=True,
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"},
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    site = tmp_path_factory.mktemp("documentation") / "site"
    done = build(documents.ROOT, site)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {}
    for path in site.rglob("*.html"):
        pages[path] = Html()
        pages[path].feed(path.read_text(encoding="utf-8"))
    return Built(site, done.stdout + done.stderr, pages)


def test_it_builds_strictly_and_says_no_warning(built: Built) -> None:
    assert "Documentation built" in built.said
    assert not re.search(r"WARNING|ERROR|Traceback", built.said), built.said
    assert (built.site / "index.html").is_file()


def test_every_method_has_a_page_with_its_licence_and_its_options(built: Built) -> None:
    from likeness.methods import card

    for name in METHODS:
        page = built.site / "methods" / f"{name}.html"
        assert page.is_file(), name
        text = page.read_text(encoding="utf-8")
        assert card(name).title in text
        for option in card(name).options:
            assert re.search(rf"--(option )?{option.name}[ =]", text), (name, option.name)
        for heading in ("good-at", "bad-at", "weights", "time-and-memory"):
            assert heading in built.pages[page].anchors, (name, heading)


def test_every_page_is_in_the_navigation(built: Built) -> None:
    index = built.site / "index.html"
    linked = {(index.parent / unquote(urlsplit(link).path)).resolve() for link in built.pages[index].links}
    missing = [
        path for path in built.pages if path.resolve() not in linked and path.name not in ("404.html", "index.html")
    ]
    assert not missing, missing


def test_every_link_and_anchor_resolves(built: Built) -> None:
    wrong = []
    for path, page in built.pages.items():
        if path.name == "404.html":  # served for any address, so its links are absolute
            continue
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.append(f"{path.name}: {link}")
            elif parts.fragment and target.suffix == ".html":
                known = built.pages[next(p for p in built.pages if p.resolve() == target.resolve())].anchors
                if unquote(parts.fragment) not in known:
                    wrong.append(f"{path.name}: {link} (no such place)")
    assert not wrong, wrong


def test_nothing_is_loaded_from_elsewhere(built: Built) -> None:
    for path, page in built.pages.items():
        foreign = [one for one in page.loads if urlsplit(one).scheme not in ("", "data") or urlsplit(one).netloc]
        assert not foreign, (path.name, foreign)
    for sheet in built.site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        foreign = re.findall(r"(?:url\(\s*|@import\s+)[\"']?((?:https?:)?//[^\"')]+)", text)
        assert not foreign, (sheet.name, foreign)


def test_mistakes_make_the_strict_build_fail(tmp_path: Path) -> None:
    """The check of the check: a broken link, a broken anchor, a page outside the navigation."""
    for name in ("docs", "notebooks"):
        shutil.copytree(documents.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "CONTRIBUTING.md"):
        shutil.copy(documents.ROOT / name, tmp_path)
    (tmp_path / "src").symlink_to(documents.ROOT / "src")
    with (tmp_path / "docs" / "choosing.md").open("a", encoding="utf-8") as file:
        file.write("\n[gone](nowhere.md), [gone](index.md#no-such-heading)\n")
    (tmp_path / "docs" / "lost.md").write_text("# A page that nobody links to\n", encoding="utf-8")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    warnings = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("WARNING")]
    for mistake in ("nowhere.md", "no-such-heading", '"nav"'):
        assert any(mistake in line for line in warnings), (mistake, warnings)


def test_methods_yaml_describes_every_method_and_nothing_else() -> None:
    said = yaml.safe_load((documents.DOCS / "methods.yaml").read_text(encoding="utf-8"))
    assert list(said) == list(METHODS)
    known = {"what", "pick", "good", "bad", "rows", "speed", "in_a_row", "commands", "note", "weights", "had", "size"}
    for name, one in said.items():
        assert set(one) <= known, (name, set(one) - known)
        assert one["pick"], name
        assert one["commands"], name


def test_figures_of_speed_stand_in_the_measured_tables() -> None:
    """No figure that nobody measured: each number of ``speed`` and ``in_a_row`` is in docs/networks.md or README.md."""
    said = yaml.safe_load((documents.DOCS / "methods.yaml").read_text(encoding="utf-8"))
    measured = "".join(
        (documents.ROOT / name).read_text(encoding="utf-8") for name in ("docs/networks.md", "README.md")
    )
    for name, one in said.items():
        text = one.get("speed", "") + (one.get("in_a_row", "") if name != "likeness" else "")
        text = re.sub(r"`[^`]*`", "", text)
        for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text):
            assert re.search(rf"(?<![\d.,]){re.escape(number)}(?![\d])", measured), (name, number)


def test_pictures_are_small_and_described() -> None:
    files = [path for path in (documents.DOCS / "images").iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 600_000
    used = "".join(path.read_text(encoding="utf-8") for path in documents.pages())
    for path in files:
        assert f"images/{path.name}" in used, f"{path.name} is shown nowhere"
    assert not re.search(r"!\[\]\(", used), "a picture without a description"
