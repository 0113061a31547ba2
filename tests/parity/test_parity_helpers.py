"""The face detector and the two face parsers give the numbers of the published code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from likeness.faces.retinaface import RetinaFaceDetector, anchors, decode, detect_rows
from likeness.nets.bisenet import BiSeNet
from likeness.nets.parsenet import ParseNet
from likeness.nets.retinaface import RetinaFace
from parity_fixture import Fixture

pytestmark = pytest.mark.parity


def through(fixture: Fixture, net: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The network's outputs, with every intermediate golden compared on the way."""
    with torch.inference_mode(), fixture.checking_modules(net):
        return tuple(net(x))


@pytest.mark.parametrize("name", ["facexlib_retinaface_resnet50"])
def test_parity(name: str) -> None:
    fixture = Fixture(f"feedforward/{name}")
    net = fixture.fill(RetinaFace())
    assert isinstance(net, RetinaFace)
    picture = (fixture.input() + 1) * 127.5
    x = picture - torch.tensor(RetinaFace.MEAN).view(1, 3, 1, 1)
    boxes, scores, landmarks = through(fixture, net, x)
    for output, tensor in (("loc", boxes), ("conf_softmax", scores), ("landms", landmarks)):
        fixture.check(f"out/{output}", tensor)

    priors = anchors(*picture.shape[-2:])
    fixture.check("out/priors", priors)
    corners, points = decode(boxes[0], landmarks[0], priors)
    fixture.check("out/decoded_boxes_normalised", corners)
    fixture.check("out/decoded_landms_normalised", points.flatten(1))

    wanted = fixture.golden["detect_faces_result"]
    threshold = float(fixture.golden["detect_faces_conf_threshold"])
    rows = detect_rows(net, x[0], threshold, 0.4)
    assert rows.shape == wanted.shape
    np.testing.assert_allclose(rows[:, 4], wanted[:, 4], atol=1e-5)
    np.testing.assert_allclose(rows, wanted, atol=2e-3)  # pixels

    # The detector does the same from RGB pixels, whose rounding to whole numbers moves things a little.
    rgb = picture[0].flip(0).permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
    detector = RetinaFaceDetector(net, threshold=threshold + 0.01, short_side=None, smallest=0.0)
    sure = wanted[wanted[:, 4] > threshold + 0.02]
    found = np.array([face.box for face in detector.detect(rgb)])
    nearest = [np.abs(found - row[:4]).max(axis=1).min() for row in sure]
    assert len(sure) > 10
    assert max(nearest) < 2
    fixture.done()


@pytest.mark.parametrize("name", ["facexlib_parsenet", "facexlib_bisenet"])
def test_parity_of_parsers(name: str) -> None:
    fixture = Fixture(f"feedforward/{name}")
    net = fixture.fill(ParseNet() if name == "facexlib_parsenet" else BiSeNet())
    x = fixture.input()
    outputs = through(fixture, net, x)
    for index, output in enumerate(outputs):
        fixture.check(f"out/out{index}", output)
    if isinstance(net, BiSeNet):
        with torch.inference_mode():
            assert torch.equal(net.parse(x), outputs[0])
    highest = outputs[0].topk(2, dim=1).values
    clear = (highest[:, 0] - highest[:, 1] > 1e-3)[0].numpy()
    assert clear.mean() > 0.99
    classes = outputs[0].argmax(dim=1)[0].numpy()
    assert (classes == fixture.golden["argmax_out0"])[clear].all()
    fixture.done()
