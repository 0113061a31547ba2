"""DifFace on small networks: noise, options, sizes, holes, and reading its files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likeness.methods import OptionError, difface
from likeness.methods.card import MethodCard
from likeness.methods.difface import inpainting
from likeness.methods.difface.filler import InpaintingRestorer, shrink_hole
from likeness.methods.difface.lama import Lama, LamaConfig, read_lama_config
from likeness.methods.difface.restorer import DifFaceRestorer
from likeness.methods.difface.sampling import SCHEDULE
from likeness.methods.difface.unet import INPAINTING, RESTORATION, UNet, UNetConfig, read_unet_config
from likeness.methods.progress import listening
from likeness.nets.swinir import SwinIR, SwinIRConfig
from likeness.weights.load import WeightsError
from parity_fixture import table_fill

CPU = torch.device("cpu")
SMALL = UNetConfig(32, (32, 32, 64, 64), (1, 1, 2, 1), (2, 3))  # pictures of 64
SMALL_256 = UNetConfig(32, (32, 32, 32, 32, 64, 64), (1,) * 6, (4, 5))
SMALL_SWINIR = SwinIRConfig(img_size=16, embed_dim=12, depths=(2,), num_heads=(2,), mlp_dim=24, features=8)
SMALL_LAMA = LamaConfig(width=8, blocks=1, far=48)


def filled(net: Any) -> Any:
    for key, value in net.state_dict().items():
        if value.is_floating_point() and not key.endswith("attn_mask"):
            # the last layer small: numbers of a sampler stay within [-1, 1], where clipping hides nothing
            gain = 0.2 if key in ("out.2.weight", "conv_last.weight", "model.17.weight") else 1.0
            value.copy_(table_fill({"key": key, "shape": list(value.shape), "gain": gain}))
    return net.eval()


@pytest.fixture(scope="module")
def restoring() -> DifFaceRestorer:
    return DifFaceRestorer(filled(UNet(SMALL)), filled(SwinIR(SMALL_SWINIR)), CPU, torch.float32, "")


@pytest.fixture(scope="module")
def filling() -> InpaintingRestorer:
    return InpaintingRestorer(filled(UNet(SMALL)), filled(Lama(SMALL_LAMA)), CPU, torch.float32, "")


def photos(count: int, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2


def hole_in(crops: Tensor) -> Tensor:
    """A third of each picture, somewhere else in each."""
    side = crops.shape[2]
    hole = torch.zeros(len(crops), 1, side, side)
    for index, mask in enumerate(hole):
        mask[:, side // 4 + index : side // 2 + index, side // 3 : side // 3 * 2] = 1
    return hole


def test_a_batch_gives_what_each_face_gives_alone(restoring: DifFaceRestorer, filling: InpaintingRestorer) -> None:
    """The same noise for all. Up to rounding: products of other sizes are summed in another order."""
    x = photos(4)
    hole = hole_in(x)
    together, filled_in = restoring.restore(x, seed=3, steps=2), filling.restore(x, seed=3, steps=2, hole=hole)
    assert (together[0] - together[1]).abs().max() > 1e-2
    for i in range(4):
        one = slice(i, i + 1)
        torch.testing.assert_close(restoring.restore(x[one], seed=3, steps=2), together[one], rtol=0, atol=1e-4)
        alone = filling.restore(x[one], seed=3, steps=2, hole=hole[one])
        torch.testing.assert_close(alone, filled_in[one], rtol=0, atol=1e-4)


def test_the_seed_alone_decides_what_is_drawn(restoring: DifFaceRestorer) -> None:
    x = photos(1)
    first = restoring.restore(x, seed=1, steps=3)
    assert torch.equal(first, restoring.restore(x, seed=1, steps=3))
    assert (first - restoring.restore(x, seed=2, steps=3)).abs().max() > 1e-2
    assert first.shape == x.shape
    assert first.dtype == torch.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert difface.CARD.stochastic
    assert inpainting.CARD.stochastic


def test_the_network_is_asked_from_the_level_below_the_start_down(restoring: DifFaceRestorer) -> None:
    asked, heard = [], []
    handle = restoring.unet.register_forward_pre_hook(lambda _, given: asked.extend(given[1].tolist()))
    with listening(lambda done, total: heard.append((done, total))):
        restoring.restore(photos(1), steps=3)
    handle.remove()
    assert asked == [8, 4, 0]
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert len(SCHEDULE) == 250
    assert SCHEDULE.times[-1] == 996


def test_options_change_what_they_say(restoring: DifFaceRestorer) -> None:
    x = photos(1)
    half = restoring.restore(x, steps=3)
    assert torch.equal(half, restoring.restore(x, steps=3, eta=0.5))
    assert (half - restoring.restore(x, steps=3, eta=0)).abs().max() > 1e-4
    assert (half - restoring.restore(x, steps=5)).abs().max() > 1e-3
    assert difface.CARD.choose({}) == {"steps": 100, "eta": 0.5}
    assert inpainting.CARD.choose({}) == {"steps": 120, "eta": 1.0, "gamma": 0.5}


@pytest.mark.parametrize(
    ("card", "options"),
    [
        (difface.CARD, {"steps": 0}),
        (difface.CARD, {"steps": 250}),
        (difface.CARD, {"steps": 2.5}),
        (difface.CARD, {"eta": 1.1}),
        (difface.CARD, {"gamma": 0.5}),
        (inpainting.CARD, {"steps": 250}),
        (inpainting.CARD, {"gamma": 0.6}),
        (inpainting.CARD, {"eta": -0.1}),
    ],
)
def test_options_out_of_range_are_refused(card: MethodCard, options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        card.choose(options)


@pytest.mark.parametrize("side", [40, 100])
def test_faces_of_other_sizes_come_back_at_their_size(
    restoring: DifFaceRestorer, filling: InpaintingRestorer, side: int
) -> None:
    x = photos(1, side)
    hole = hole_in(x)
    assert restoring.restore(x, steps=1).shape == x.shape
    out = filling.restore(x, steps=1, hole=hole)
    keep = (hole == 0).expand_as(x)
    assert torch.equal(out[keep], x[keep])
    assert (out - x)[~keep].abs().max() > 1e-2


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (0, 3, 64, 64)])
def test_other_shapes_are_refused(restoring: DifFaceRestorer, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        restoring.restore(torch.zeros(shape))


def test_only_the_hole_is_filled_and_its_content_not_looked_at(filling: InpaintingRestorer) -> None:
    x = photos(2)
    hole = hole_in(x)
    keep = (hole == 0).expand_as(x)
    out = filling.restore(x, steps=2, hole=hole.numpy())
    assert torch.equal(out[keep], x[keep])
    assert torch.equal(out, filling.restore(torch.where(keep, x, 0.9), steps=2, hole=hole > 0))
    wide = photos(1, 100)
    outside = (hole_in(wide) == 0).expand_as(wide)
    one, other = (
        filling.restore(torch.where(outside, wide, level), steps=2, hole=hole_in(wide)) for level in (0.0, 1.0)
    )
    assert torch.equal(one, other)


def test_gamma_binds_the_sample_to_the_photograph(filling: InpaintingRestorer) -> None:
    x = photos(1)
    hole = hole_in(x)
    keep = (hole == 0).expand_as(x)

    def distance(gamma: float) -> float:
        sample = filling.fill(x, hole, filling.noise(1, 0), 2, 1.0, gamma)
        return float((sample - x)[keep].abs().mean())

    with torch.inference_mode():
        assert distance(0.0) > distance(0.2) > distance(0.5)
        _, correct = filling.conditions(x, hole, 0.5)
        x0 = correct(torch.zeros_like(x))
    torch.testing.assert_close(x0, torch.where(keep, x * 2 - 1, 0.0))


@pytest.mark.parametrize(
    ("hole", "words"),
    [
        (None, "needs hole"),
        (torch.zeros(1, 1, 32, 64), r"expected hole \(1, 1, 64, 64\)"),
        (torch.full((1, 1, 64, 64), 0.5), "0 or 1"),
    ],
)
def test_a_hole_that_does_not_fit_is_refused(filling: InpaintingRestorer, hole: Tensor | None, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        filling.restore(photos(1), steps=1, hole=hole)


def test_no_part_of_a_hole_is_lost_by_resizing() -> None:
    hole = torch.zeros(1, 1, 100, 100)
    hole[..., 50, 61] = 1
    small = shrink_hole(hole, 64)
    assert small[0, 0, 32, 39] == 1  # 50.5 * 0.64, 61.5 * 0.64
    assert 9 <= small.sum() <= 49
    assert torch.equal(shrink_hole(hole, 100), hole)
    large = shrink_hole(hole[..., 30:70, 30:70], 64)
    assert large[0, 0, 32, 50] == 1
    assert large.sum() < 200


def test_black_pixels_are_holes() -> None:
    x = photos(2)
    x[0, :, 3, 4] = 0
    x[1, :2, 5, 6] = 0  # blue is left
    assert inpainting.black_pixels(x).nonzero().tolist() == [[0, 0, 3, 4]]


def test_it_runs_in_bfloat16(restoring: DifFaceRestorer, filling: InpaintingRestorer) -> None:
    x = photos(1)
    low = DifFaceRestorer(restoring.unet, restoring.estimator, CPU, torch.bfloat16, "")
    torch.testing.assert_close(low.restore(x, steps=2), restoring.restore(x, steps=2), rtol=0, atol=0.1)
    low_filling = InpaintingRestorer(filling.unet, filling.estimator, CPU, torch.bfloat16, "")
    out = low_filling.restore(x, steps=2, hole=hole_in(x))
    torch.testing.assert_close(out, filling.restore(x, steps=2, hole=hole_in(x)), rtol=0, atol=0.1)


def test_released_networks_have_the_released_sizes() -> None:
    with torch.device("meta"):
        nets = {**difface.networks(), "unet 256": inpainting.networks()["unet"], "lama": inpainting.networks()["lama"]}
    facts = {name: (len(net.state_dict()), sum(p.numel() for p in net.parameters())) for name, net in nets.items()}
    assert facts == {
        "unet": (630, 159_788_454),
        "swinir": (732, 15_792_587),
        "unet 256": (456, 124_056_710),
        "lama": (989, 50_975_875),
    }
    assert read_unet_config(nets["unet"].state_dict()) == RESTORATION
    assert read_unet_config(nets["unet 256"].state_dict()) == INPAINTING
    assert (RESTORATION.size, INPAINTING.size) == (512, 256)
    assert read_lama_config(nets["lama"].state_dict()) == LamaConfig()


def test_each_recognises_its_own() -> None:
    with torch.device("meta"):
        unet, unet_256 = UNet(SMALL).state_dict(), UNet(SMALL_256).state_dict()
    for method, own, other in ((difface.method(), unet, unet_256), (inpainting.method(), unet_256, unet)):
        net = method.recognise(own)
        assert isinstance(net, UNet)
        assert net.config == read_unet_config(own)
        assert method.recognise(other) is None
        assert method.recognise({}) is None
        assert method.recognise({key: value for key, value in own.items() if key != "out.2.weight"}) is None


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_unpacks_the_released_nestings(nested: bool, prefix: str) -> None:
    tensor = torch.ones(2)
    held: dict[str, Any] = {f"{prefix}a.module.weight": tensor}
    assert difface.method().unpack({"state_dict": held, "step": 3} if nested else {**held, "step": 3}) == {
        "a.module.weight": tensor
    }


@pytest.mark.parametrize(
    ("module", "unet", "estimator", "name"),
    [
        (difface, UNet(SMALL), SwinIR(SMALL_SWINIR), difface.CARD.checkpoints["swinir"]),
        (inpainting, UNet(SMALL_256), Lama(SMALL_LAMA), inpainting.CARD.checkpoints["lama"]),
    ],
)
def test_loads_both_files(module: Any, unet: nn.Module, estimator: nn.Module, name: str, tmp_path: Path) -> None:
    weights, beside = tmp_path / "mine.pth", tmp_path / name
    torch.save({"state_dict": {f"module.{key}": value for key, value in filled(unet).state_dict().items()}}, weights)
    with pytest.raises(WeightsError, match=f"expected .*{name}"):
        module.load(CPU, torch.float32, weights)
    torch.save(filled(estimator).state_dict(), beside)
    loaded = module.load(CPU, torch.float32, weights)
    for net, given in ((loaded.unet, unet), (loaded.estimator, estimator)):
        assert all(torch.equal(value, given.state_dict()[key]) for key, value in net.state_dict().items())
    torch.save({key: value + 1 for key, value in estimator.state_dict().items()}, beside)
    assert module.load(CPU, torch.float32, weights).fingerprint != loaded.fingerprint

    torch.save(unet.state_dict(), beside)  # of the wrong network
    with pytest.raises(WeightsError, match=f"{name} holds no weights") as caught:
        module.load(CPU, torch.float32, weights)
    assert "\n" not in str(caught.value)
    torch.save({"a": torch.ones(2)}, weights)
    with pytest.raises(WeightsError, match=r"mine\.pth holds no weights"):
        module.load(CPU, torch.float32, weights)


def test_importing_the_methods_is_cheap() -> None:
    code = (
        "import sys, likeness.methods.difface, likeness.methods.difface.inpainting; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
