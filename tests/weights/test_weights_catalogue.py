"""The catalogue: what it says, and that wrong data in it is refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from likeness.weights.catalogue import HELPERS, default_entry, entries, entry, find, read_catalogue
from likeness.weights.errors import WeightsError

# OpenCV's zoo, and the packs of insightface's releases
OTHER_SOURCES = {"yunet", "sface", "scrfd-10g", "arcface-buffalo-l", "arcface-antelopev2"}
PARITY = Path(os.environ.get("LIKENESS_PARITY", Path(__file__).parents[2] / "../shared/parity"))
METHODS = [
    *("gfpgan", "codeformer", "restoreformer", "restoreformer++", "vqfr", "gpen"),
    *("dfdnet", "psfrgan", "hifacegan", "psp", "deblurganv2"),
    *("difface", "difface-inpainting", "pmrf", "instantrestore", "pulse", "mganprior"),
]


def group(**fields: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": "tiny-1",
        "file": "tiny.pth",
        "paper": "A Paper",
        "licence": "MIT",
        "permits": "Anything.",
        "non_commercial": False,
        "page": "https://example.org",
        "default": True,
    }
    return {"method": "tiny", "files": [{k: v for k, v in (facts | fields).items() if v != "absent"}]}


def test_every_method_and_helper_has_one_default_file() -> None:
    assert list(dict.fromkeys(one.method for one in entries())) == [*METHODS, *HELPERS]
    for method in (*METHODS, *HELPERS):
        assert default_entry(method).method == method
        assert find(method) is default_entry(method)
    assert default_entry("gfpgan").name == "gfpgan-1.4"
    assert find("gfpgan-1.2").file == "GFPGANCleanv1-NoCE-C2.pth"


def test_non_commercial_weights_are_marked() -> None:
    named = {one.name for one in entries() if not one.non_commercial}
    assert "codeformer" not in named
    assert "dfdnet" not in named
    assert {"restoreformer++", "vqfr-2", "realesrgan-x2plus", "deblurganv2-mobilenet"} <= named


def test_a_page_of_a_cloud_drive_is_no_address_of_a_file() -> None:
    for one in entries():
        assert not [url for url in one.urls if "/folders/" in url or "/view" in url.rpartition("?")[0] or "yadi" in url]


@pytest.mark.skipif(not PARITY.is_dir(), reason="no parity fixtures (set LIKENESS_PARITY)")
def test_the_facts_are_those_of_the_manifests() -> None:
    """Every sha256 and size of a manifest is in the catalogue for that file, and no other is."""
    stated: dict[str, dict[str, Any]] = {}
    for group in ("feedforward", "upsamplers"):
        for path in PARITY.glob(f"{group}/*/manifest.json"):
            for release in json.loads(path.read_text(encoding="utf-8")).get("releases", []):
                stated[release["file"].split(" ")[0]] = release
    written = [path for path in PARITY.glob("*/**/*") if path.suffix in (".json", ".md")]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in written)
    for one in entries():
        release = stated.pop(one.file, None)
        if release is not None:
            assert (one.sha256, one.bytes) == (release.get("sha256"), release.get("bytes")), one.name
            assert not one.urls or one.urls[0] == release["url"]
        elif one.name not in OTHER_SOURCES:
            facts = [one.sha256, one.bytes, *one.urls]
            folders = {url: url.rpartition("/")[0] for url in one.urls}  # a text may name the folder, then the files
            for fact in facts:
                assert fact is None or str(fact) in texts or folders.get(str(fact), "?") in texts, one
    assert {name: r["sha256"] for name, r in stated.items() if r.get("sha256")} == {}


def test_it_is_light() -> None:
    code = (
        "import sys, likeness.weights.store, likeness.weights.catalogue as c; c.entries(); "
        "print([m for m in ('torch', 'numpy', 'requests', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_names() -> None:
    for ask in (entry, find, default_entry):
        with pytest.raises(WeightsError, match="'nonsense'"):
            ask("nonsense")


def test_shared_facts_and_a_files_own() -> None:
    shared = group() | {"licence": "BSD", "page": "https://example.com"}
    del shared["files"][0]["licence"]
    (one,) = read_catalogue(yaml.safe_dump([shared]))
    assert (one.licence, one.page) == ("BSD", "https://example.org")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sha256": "abc", "sha256_source": "me"}, "sha256"),
        ({"sha256": "0" * 64}, "sha256_source"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": "12"}, "bytes"),
        ({"urls": "https://example.org/tiny.pth"}, "urls"),
        ({"urls": ["ftp://example.org/tiny.pth"]}, "urls"),
        ({"urls": ["https://example.org/two words"]}, "urls"),
        ({"page": "the readme"}, "page"),
        ({"file": "../tiny.pth"}, "file"),
        ({"file": "folder\\tiny.pth"}, "file"),
        ({"parts": ["a/b.npy"]}, "file"),
        ({"licence": " "}, "licence"),
        ({"licence": "absent"}, "licence"),
        ({"non_commercial": "yes"}, "non_commercial"),
        ({"digest": "crc:ab"}, "digest"),
        ({"digest": "sha256:xyz"}, "digest"),
        ({"name": "Tiny 1"}, "name"),
        ({"checksum": "1"}, "checksum"),
        ({"default": False}, "default"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_field_is_refused_and_the_entry_named(fields: dict[str, Any], says: str) -> None:
    assert read_catalogue(yaml.safe_dump([group()]))
    with pytest.raises(WeightsError, match=says) as caught:
        read_catalogue(yaml.safe_dump([group(**fields)]))
    assert "tiny" in str(caught.value).lower()


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"file": "b.pth", "default": False}, "name 'tiny-1' occurs twice"),
        ({"name": "tiny-2", "default": False}, "file 'tiny.pth' occurs twice"),
        ({"name": "tiny-2", "file": "b.pth"}, "one default"),
        ({"name": "tiny", "file": "b.pth", "default": False}, "default"),
    ],
)
def test_entries_that_do_not_go_together(second: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        read_catalogue(yaml.safe_dump([group(), group(**second)]))
