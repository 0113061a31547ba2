"""CodeFormer, RestoreFormer, RestoreFormer++ and VQFR against the numbers of the authors' code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from likeness.methods import codeformer, restoreformer, restoreformer_plusplus, vqfr
from likeness.nets.vq import Codebook
from parity_fixture import Fixture

pytestmark = pytest.mark.parity

CLEAR = {"logits": 5e-3, "distance": 1e-3}  # margins above which rounding cannot change which code is chosen

V2_FLOOR = 3e-4
"""The authors' VQFR v2 decodes with channels last, where torch's group norm is inexact: its pictures are 1.2e-4 of
their std away from float64, ours 1e-5."""


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The code indices of each decoding, in order."""
    indices: list[Tensor] = []
    look_up = Codebook.look_up

    def remember(self: Codebook, index: Tensor) -> Tensor:
        indices.append(index)
        return look_up(self, index)

    monkeypatch.setattr(Codebook, "look_up", remember)
    return indices


@contextmanager
def outputs_of(net: nn.Module, *paths: str) -> Iterator[dict[str, Tensor]]:
    """While it is open, keeps the last output of these modules."""
    kept: dict[str, Tensor] = {}
    handles = [
        net.get_submodule(path).register_forward_hook(lambda _, __, output, path=path: kept.__setitem__(path, output))
        for path in paths
    ]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def check_codes(fixture: Fixture, index: Tensor, kind: str) -> None:
    clear = torch.from_numpy(fixture.golden["code_margin"] > CLEAR[kind])
    assert clear.float().mean() > 0.9
    assert torch.equal(index.flatten()[clear], torch.from_numpy(fixture.golden["code_index"])[clear])


def check_codeformer(fixture: Fixture, chosen: list[Tensor]) -> None:
    net, x = fixture.fill(codeformer.networks()["net"]), fixture.input()
    others = {"lq_feat", "logits"}
    fused = {name: name.removeprefix("w0.5/") for name in fixture.names("mid/") if name.startswith("w0.5/")}
    modules = dict(net.named_modules())
    assert len(fused) == 4
    assert {fused.get(name, name) for name in fixture.names("mid/")} - others <= modules.keys()
    with fixture.checking_modules(net, also=fused), outputs_of(net, "encoder", "idx_pred_layer") as kept:
        image = net(x, 0.5, True)
    fixture.check("out/image_w0.5_adain", image)
    fixture.check("mid/lq_feat", kept["encoder"][0])
    fixture.check("mid/logits", kept["idx_pred_layer"].transpose(0, 1))
    check_codes(fixture, chosen[-1], "logits")
    fixture.check("out/image_w0.0_adain", net(x, 0.0, True))
    fixture.check("out/image_w1.0_adain", net(x, 1.0, True))
    fixture.check("out/image_w0.0_noadain", net(x, 0.0, False))


def check_restoreformer(fixture: Fixture, chosen: list[Tensor]) -> None:
    module = restoreformer_plusplus if "plusplus" in fixture.name else restoreformer
    net = fixture.fill(module.networks()["net"])
    assert set(fixture.names("mid/")) <= dict(net.named_modules()).keys()
    with fixture.checking_modules(net):
        image = net(fixture.input())
    check_codes(fixture, chosen[-1], "distance")
    fixture.check("out/image", image)


def check_vqfr_v1(fixture: Fixture, chosen: list[Tensor]) -> None:
    net = fixture.fill(vqfr.networks()["v1"])
    assert set(fixture.names("mid/")) <= dict(net.named_modules()).keys()
    finest = "decoder.decoder_dict.Level_1"
    with fixture.checking_modules(net), outputs_of(net, finest) as kept:
        image = net(fixture.input())
    check_codes(fixture, chosen[-1], "distance")
    fixture.check("out/main_dec", image)
    fixture.check("out/dec", net.get_submodule("decoder.conv_out")(kept[finest]))


def check_vqfr_v2(fixture: Fixture, chosen: list[Tensor]) -> None:
    net, x = fixture.fill(vqfr.networks()["v2"]), fixture.input()
    assert set(fixture.names("mid/")) <= dict(net.named_modules()).keys()
    with fixture.checking_modules(net):
        image = net(x, 1.0)
    check_codes(fixture, chosen[-1], "logits")
    fixture.check("out/main_dec_fidelity1.0", image, floor=V2_FLOOR)
    fixture.check("out/texture_dec", net(x, 0.0), floor=V2_FLOOR)


CHECKS = {
    "codeformer_512": check_codeformer,
    "restoreformer_512": check_restoreformer,
    "restoreformer_plusplus_512": check_restoreformer,
    "vqfr_v1_512": check_vqfr_v1,
    "vqfr_v2_512": check_vqfr_v2,
}


@pytest.mark.parametrize("name", CHECKS)
def test_parity(name: str, chosen: list[Tensor]) -> None:
    fixture = Fixture(f"feedforward/{name}")
    with torch.inference_mode():
        CHECKS[name](fixture, chosen)
    fixture.done()
