"""Protocols as data: the entries against what else there is, and the identity gate."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from likeness.degrade.recipes import RECIPES
from likeness.study import datasets, protocols, published
from likeness.study.protocols import ProtocolError


def test_the_protocols_are_there() -> None:
    names = [one.name for one in protocols.protocols()]
    assert names == [
        "celeba-test", "idm-celebahq", "rdfr-bfr", "rdfr-x8", "rdfr-x16", "lfw", "webphoto", "wider", "ntire",
        "own-folder",
    ]  # fmt: skip
    own = protocols.find("own-folder")
    assert (own.recipe, own.seed, own.dataset) == ("idm", 0, None)
    assert own.metrics == ("psnr", "ssim", "identity-distance", "sharpness")
    assert set(protocols.find("idm-celebahq").metrics) >= {"psnr", "ssim", "arcface-cosine", "lpips-vgg"}
    assert protocols.find("celeba-test").recipe is None
    with pytest.raises(ProtocolError, match="'celeba'; there are celeba-test, idm-celebahq"):
        protocols.find("celeba")


@pytest.mark.parametrize("name", [one.name for one in protocols.protocols()])
def test_what_a_protocol_names_exists(name: str) -> None:
    protocol = protocols.find(name)
    assert protocol.recipe is None or protocol.recipe in RECIPES
    roles = {part.role for part in datasets.find(protocol.dataset).parts} if protocol.dataset else {"truth"}
    assert ("truth" in roles) == protocol.truth
    assert ("input" in roles) == protocol.inputs
    assert sorted(protocol.published) == sorted(table.name for table in published.tables_for(name))


def test_the_gate_of_ntire() -> None:
    gate = protocols.find("ntire").gate
    assert gate is not None
    assert gate.limits == {
        "wider-test": 0.30, "webphoto-test": 0.30, "lfw-test": 0.60, "celebchild-test": 0.60, "celeba-test": 0.50,
    }  # fmt: skip
    assert (gate.metric, gate.against, gate.allowed) == ("adaface-cosine", "input", 10)
    scores = {f"w{n}": ("wider-test", 0.29) for n in range(10)}
    scores |= {"on the limit": ("wider-test", 0.30), "l0": ("lfw-test", 0.61)}
    assert protocols.gate_failures(gate, scores) == (True, [f"w{n}" for n in range(10)])
    scores["l1"] = ("lfw-test", 0.59)  # the eleventh
    assert protocols.gate_failures(gate, scores) == (False, [*(f"w{n}" for n in range(10)), "l1"])
    assert protocols.gate_failures(gate, {"no face": ("lfw-test", float("nan"))}) == (True, ["no face"])
    with pytest.raises(ProtocolError, match="no limit for 'ffhq'"):
        protocols.gate_failures(gate, {"a": ("ffhq", 0.5)})


VALID: dict[str, Any] = {
    "name": "mine", "title": "Mine", "source": "a test", "dataset": "celeba-hq-test", "truth": True, "inputs": False,
    "recipe": "idm", "seed": 0, "aligned": True, "metrics": ["psnr", "fid"], "reference": "truth", "notes": "none",
}  # fmt: skip


def test_a_valid_entry_is_read() -> None:
    (read,) = protocols.read_protocols(yaml.safe_dump([VALID]))
    assert (read.name, read.metrics, read.gate) == ("mine", ("psnr", "fid"), None)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"dataset": "celeba"}, "dataset must be a data set"),
        ({"metrics": ["psnr", "beauty"]}, "metrics must be different names"),
        ({"metrics": ["psnr"]}, "reference must be stated"),
        ({"metrics": ["psnr", "fid"], "reference": None}, "reference must be stated"),
        ({"reference": "celeba"}, "reference must be a data set"),
        ({"recipe": None, "seed": None}, "recipe must be stated"),
        ({"inputs": True}, "recipe must be stated"),
        ({"seed": None}, "seed must be a whole number"),
        ({"inputs": True, "recipe": None, "seed": None, "truth": False, "reference": "ffhq"}, "without truth"),
        ({"aligned": "yes"}, "aligned must be true or false"),
        ({"resize": "nearest"}, "resize must be"),
        ({"source": ""}, "source must be a text"),
        ({"colour": "red"}, "colour"),
        (
            {"gate": {"metric": "fid", "recognizer": "x", "against": "input", "limits": {"lfw": 0.5}, "allowed": 1}},
            "limits for data sets",
        ),
        (
            {"gate": {"metric": "kid", "recognizer": "x", "against": "input", "limits": {}, "allowed": 1}},
            "one of the protocol's metrics",
        ),
    ],
)
def test_a_wrong_entry_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ProtocolError, match="protocol 'mine': ") as caught:
        protocols.read_protocols(yaml.safe_dump([VALID | fields]))
    assert named in str(caught.value)


def test_reading_the_data_loads_nothing_heavy() -> None:
    code = (
        "import sys; from likeness.study import published, protocols; from likeness.cli import dataset;"
        "published.tables(); protocols.protocols();"
        "print([m for m in ('torch', 'cv2', 'scipy', 'numpy', 'PIL', 'rich.table') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
