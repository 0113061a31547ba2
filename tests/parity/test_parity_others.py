"""PSFRGAN, HiFaceGAN, DeblurGAN-v2 and DFDNet against the numbers of the authors' code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from likeness.methods import deblurganv2, dfdnet, hifacegan, psfrgan
from likeness.methods.dfdnet.dictionary import SCALES, Dictionary, entry_side
from likeness.methods.dfdnet.landmarks import PARTS, face_boxes, scaled
from likeness.methods.dfdnet.network import DFDNet
from likeness.nets.picture_norm import PictureNorm
from likeness.nets.spectral import fold_spectral_norm, power_iteration
from parity_fixture import Fixture, draw

pytestmark = pytest.mark.parity


def normalise_by(net: nn.Module, own_statistics: bool) -> None:
    """By each picture's own statistics (what the official scripts do), or the running ones (evaluation mode)."""
    for module in net.modules():
        if isinstance(module, PictureNorm):
            module.own_statistics = own_statistics


def check_psfrgan(fixture: Fixture) -> None:
    net = fixture.fill(psfrgan.networks()["net"])
    i, j = np.meshgrid(np.arange(512), np.arange(512), indexing="ij")
    classes = torch.from_numpy((i // 32 * 3 + j // 32 * 5 + (i // 128) * (j // 128)) % 19)
    parse = nn.functional.one_hot(classes, 19).permute(2, 0, 1)[None].float()
    with fixture.checking_modules(net):
        fixture.check("out/image", net(fixture.input(), parse))


def check_hifacegan(fixture: Fixture) -> None:
    """Evaluation mode, then what the official scripts do: the first call in training mode."""
    net, x = fixture.fill(hifacegan.networks()["net"]), fixture.input()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    normalise_by(net, own_statistics=False)
    with fixture.checking_modules(net, "mid/eval/"):
        fixture.check("out/image_eval_mode", net(x))
    normalise_by(net, own_statistics=True)
    net(x)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    power_iteration(net)
    fold_spectral_norm(net)
    with fixture.checking_modules(net, "mid/train/"):
        fixture.check("out/image_train_mode_first_call", net(x))


def check_deblurganv2(fixture: Fixture) -> None:
    """What the official script does (training mode), then evaluation mode."""
    net, x = fixture.fill(deblurganv2.networks()[fixture.name.removeprefix("deblurganv2_")]), fixture.input()
    with fixture.checking_modules(net, "mid/train/"):
        image = net(x)
    fixture.check("out/image_train_mode", image)
    fixture.check("out/residual_train_mode", image - x)
    normalise_by(net, own_statistics=False)
    with fixture.checking_modules(net, "mid/eval/"):
        fixture.check("out/image_eval_mode", net(x))


def check_dfdnet(fixture: Fixture) -> None:
    net, x = fixture.fill(dfdnet.networks()["net"]), fixture.input()
    assert isinstance(net, DFDNet)
    dictionary = Dictionary({(part, size): raw_entries(part, size) for size in SCALES for part in PARTS})
    facts = fixture.manifest["landmarks"]
    boxes = face_boxes(torch.tensor(facts["fixture_landmarks_68"]))
    assert boxes == {part: tuple(box) for part, box in facts["fixture_boxes"].items()}

    guides: list[Tensor] = []
    for i in range(4):
        net.get_submodule(f"up{i}").register_forward_hook(lambda _, given, __: guides.append(given[1]))
    with fixture.checking_modules(net):
        fixture.check("out/image", net(x, [boxes], dictionary))
    special = {name.split(" ")[0]: name for name in fixture.names("mid/") if " " in name}
    for i, guide in enumerate(guides):
        fixture.check(f"mid/{special.pop(f'up{i}.input1')}", guide)
    for size, feature in zip(SCALES, net.VggExtract(x), strict=True):
        fixture.check(f"mid/{special.pop(f'VggExtract.feature_{size}')}", feature)
        check_scores(fixture, dictionary, boxes, size, feature[0])
    assert not special


def raw_entries(part: str, size: int) -> Tensor:
    channels, side = 64 * min(512 // size, 8), entry_side(part, size)
    return torch.from_numpy(draw(f"dictionary.{part}_{size}_center", (5, channels * side * side))).reshape(
        5, channels, side, side
    )


def check_scores(fixture: Fixture, dictionary: Dictionary, boxes: Any, size: int, feature: Tensor) -> None:
    """The scores of the authors' code, less what is the same for all entries; and the entry chosen."""
    for p, part in enumerate(PARTS):
        row = SCALES.index(size) * len(PARTS) + p
        x0, y0, x1, y1 = scaled(boxes[part], size)
        crop = feature[:, y0:y1, x0:x1]
        scores = dictionary.scores(part, size, crop)
        wanted = torch.from_numpy(fixture.golden["dict_scores_pre_softmax"][row])
        assert int(scores.argmax()) == int(fixture.golden["dict_choice"][row])
        rounding = 1e-6 * float(wanted.abs().max())
        assert torch.allclose(scores - scores.mean(), wanted - wanted.mean(), rtol=1e-3, atol=rounding), (part, size)


CHECKS = {
    "psfrgan_512": check_psfrgan,
    "hifacegan": check_hifacegan,
    "deblurganv2_fpn_inception": check_deblurganv2,
    "deblurganv2_fpn_mobilenet": check_deblurganv2,
    "dfdnet_512": check_dfdnet,
}


@pytest.mark.parametrize("name", CHECKS)
@torch.inference_mode()
def test_parity(name: str) -> None:
    fixture = Fixture(f"feedforward/{name}")
    CHECKS[name](fixture)
    fixture.done()
