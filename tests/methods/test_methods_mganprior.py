"""mGANprior on a small generator: mixing codes, the search, VGG16 with and without its file, and reading files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_stylegan import awake
from torch import Tensor, nn

from likeness.methods import OptionError, mganprior
from likeness.methods.mganprior import restorer as restorer_module
from likeness.methods.mganprior.objective import Objective, Weights
from likeness.methods.mganprior.optimise import ADAM, Search
from likeness.methods.mganprior.pggan import PGGAN, Block, PGGANConfig
from likeness.methods.mganprior.restorer import METHOD, MGANPriorRestorer
from likeness.methods.progress import listening
from likeness.nets.stylegan2 import PixelNorm
from likeness.nets.vgg import VGGFeatures
from likeness.weights.load import WeightsError

SMALL = PGGANConfig((8, 8, 6, 4), latent=16)
PLAIN: dict[str, Any] = {"steps": 3, "codes": 3, "layer": 3, "factor": 4, "perceptual": 0}
SEEN: dict[str, Any] = {**PLAIN, "perceptual": 1, "perceptual_size": 32, "perceptual_layer": 4}


def generator() -> PGGAN:
    """With N(0, 1) weights, as released."""
    net = PGGAN(SMALL)
    numbers = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        scale = 1.0 if parameter.ndim > 1 else 0.2 * (parameter.ndim == 1)
        parameter.data = scale * torch.randn(parameter.shape, generator=numbers)
    return net.eval().requires_grad_(False)


def small_vgg() -> VGGFeatures:
    vgg = awake(VGGFeatures(16, 5))
    assert isinstance(vgg, VGGFeatures)
    return vgg


def restorer(vgg: VGGFeatures | None, dtype: torch.dtype = torch.float32) -> MGANPriorRestorer:
    return MGANPriorRestorer(generator(), vgg, torch.device("cpu"), dtype, "none")


@pytest.fixture(scope="module")
def small() -> MGANPriorRestorer:
    return restorer(small_vgg())


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Four smooth pictures."""
    numbers = torch.Generator().manual_seed(5)
    return F.interpolate(torch.rand(4, 3, 6, 6, generator=numbers), size=(512, 512), mode="bilinear")


@pytest.mark.parametrize("enlarge", [False, True])
def test_a_block_is_norm_enlarging_convolution_activation(enlarge: bool) -> None:
    torch.manual_seed(0)
    block, x = Block(5, 7, 3, 1, enlarge=enlarge), torch.randn(2, 5, 6, 6)
    block.wscale.bias.data.normal_()
    h = PixelNorm()(x)
    h = F.interpolate(h, scale_factor=2.0) if enlarge else h
    h = F.conv2d(h, block.conv.weight, padding=1) * (2 / (5 * 9)) ** 0.5 + block.wscale.bias[:, None, None]
    torch.testing.assert_close(block(x), F.leaky_relu(h, 0.2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [1, 4, 8])
def test_a_single_code_with_weights_of_one_is_the_generator(layer: int) -> None:
    net, z = generator(), torch.randn(1, 16)
    alpha = torch.ones(1, SMALL.width(layer))
    torch.testing.assert_close(net.after(net.mix(z, alpha, layer), layer), net(z))
    assert net(z).shape == (1, 3, 32, 32)


def test_features_of_the_codes_are_averaged_with_weights_for_each_channel() -> None:
    net, z, alpha = generator(), torch.randn(3, 16), torch.rand(3, 8)
    each = torch.cat([net.before(code[None], 3) * a[:, None, None] for code, a in zip(z, alpha, strict=True)])
    torch.testing.assert_close(net.mix(z, alpha, 3), each.mean(0, keepdim=True))


def test_the_search_approaches_the_photo() -> None:
    net, layer = generator(), 3
    target = net(torch.randn(1, 16, generator=torch.Generator().manual_seed(1)))
    objective = Objective(target, 4, Weights(perceptual=0), None)
    z = torch.randn(3, 16, generator=torch.Generator().manual_seed(2))
    for kind, rate in ((0, 1.0), (ADAM, 0.05)):
        search = Search(lambda z, a: net.after(net.mix(z, a, layer), layer), objective, z, 8, kind, rate)
        found = [float(search.step().total) for _ in range(40)]
        assert found[-1] < 0.9 * found[0]
        assert float(objective.terms(search.picture()).l2) <= found[-1] * 1.1
    assert all(p.grad is None for p in net.parameters())


def test_terms_are_those_of_the_reduced_pictures(small: MGANPriorRestorer) -> None:
    torch.manual_seed(0)
    target, image = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    weights = Weights(l1=2.0, l2=3.0, perceptual=5.0, perceptual_layer=4, perceptual_size=32)
    terms = Objective(target, 4, weights, small.vgg).terms(image)
    # bilinear without antialiasing: of each 4x4 pixels the four in the middle
    apart = F.avg_pool2d((image - target)[:, :, 1:-1, 1:-1], 2, 4)
    torch.testing.assert_close(terms.l1, apart.abs().mean())
    torch.testing.assert_close(terms.l2, apart.square().mean())
    assert terms.perceptual > 0
    torch.testing.assert_close(terms.total, 2 * terms.l1 + 3 * terms.l2 + 5 * terms.perceptual)
    squared = Objective(target, 4, Weights(perceptual_l2=True, perceptual_size=32, perceptual_layer=4), small.vgg)
    assert squared.terms(image).perceptual != terms.perceptual
    assert float(squared.terms(target).total) == 0


@pytest.mark.parametrize("options", [PLAIN, SEEN], ids=["without VGG16", "with it"])
def test_a_batch_gives_what_each_face_gives_alone(
    small: MGANPriorRestorer, crops: Tensor, options: dict[str, Any]
) -> None:
    together = small.restore(crops, seed=3, **options)
    assert together.shape == crops.shape
    assert 0 <= together.min() < together.max() <= 1
    for index in range(4):  # they are searched one by one, hence to the last bit
        assert torch.equal(together[index : index + 1], small.restore(crops[index : index + 1], seed=3, **options))
    assert not torch.equal(together[0], together[1])


def test_the_seed_decides(small: MGANPriorRestorer, crops: Tensor) -> None:
    first = small.restore(crops[:1], seed=1, **PLAIN)
    torch.rand(7)
    assert torch.equal(small.restore(crops[:1], seed=1, **PLAIN), first)
    assert (small.restore(crops[:1], seed=2, **PLAIN) - first).abs().max() > 0.05
    assert mganprior.CARD.stochastic


def test_it_searches_within_inference_mode_too(small: MGANPriorRestorer, crops: Tensor) -> None:
    with torch.inference_mode():
        out = small.restore(crops[:1].clone(), seed=1, **SEEN)
    assert torch.equal(out, small.restore(crops[:1], seed=1, **SEEN))
    assert not out.requires_grad


@pytest.mark.parametrize(
    "other",
    [{"codes": 2}, {"layer": 4}, {"factor": 8}, {"steps": 2}, {"optimiser": 1}, {"learning_rate": 0.1}, {"l1": 1.0},
     {"l2": 0.1}, {"perceptual": 0}, {"perceptual_l2": 1}, {"perceptual_layer": 2}, {"perceptual_size": 64}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_every_option_counts(small: MGANPriorRestorer, crops: Tensor, other: dict[str, float]) -> None:
    assert not torch.equal(
        small.restore(crops[:1], **{**SEEN, **other}, seed=1), small.restore(crops[:1], **SEEN, seed=1)
    )


def test_it_can_stop_early(small: MGANPriorRestorer, crops: Tensor) -> None:
    def steps(faces: int = 1, **options: float) -> list[tuple[int, int]]:
        told: list[tuple[int, int]] = []
        with listening(lambda done, total: told.append((done, total))):
            small.restore(crops[:faces], **{**PLAIN, "steps": 6, **options})
        return told

    assert steps(faces=2) == [(done, 12) for done in range(1, 13)]
    assert steps(seconds=1e-6) == [(1, 6)]
    assert len(steps(patience=1, l2=0)) == 2  # nothing can become better


def test_without_vgg16_it_says_what_to_do(crops: Tensor) -> None:
    alone = restorer(None)
    with pytest.raises(OptionError, match="likeness models pull vgg16") as raised:
        alone.restore(crops[:1], **SEEN)
    assert "\n" not in str(raised.value)
    assert alone.restore(crops[:1], **PLAIN).isfinite().all()


@pytest.mark.parametrize("options", [{"layer": 9}, {"layer": 0}, {"codes": 0}, {"optimiser": 2}, {"fidelity": 1}])
def test_options_out_of_range_are_refused(small: MGANPriorRestorer, crops: Tensor, options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        small.restore(crops[:1], **{**PLAIN, **options})


def test_other_shapes_are_refused(small: MGANPriorRestorer) -> None:
    with pytest.raises(ValueError, match="512"):
        small.restore(torch.zeros(1, 3, 256, 256), **PLAIN)


def test_it_runs_under_autocast(crops: Tensor) -> None:
    out = restorer(small_vgg(), torch.bfloat16).restore(crops[:1], **SEEN)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


def test_vgg_gives_the_outputs_that_are_asked_for() -> None:
    vgg, x = VGGFeatures(16, 10), torch.randn(1, 3, 16, 16)
    pooled, activated = vgg(x, (9, 3))[::-1]
    wanted = vgg.features[:4](x)
    torch.testing.assert_close(activated, wanted)
    assert (activated >= 0).all()
    torch.testing.assert_close(pooled, vgg.features[4:10](wanted))
    for taps in ((10,), (-1,), ()):
        with pytest.raises(ValueError, match="taps"):
            vgg(x, taps)
    with pytest.raises(ValueError, match="depth"):
        VGGFeatures(11)


def test_vgg_has_the_layout_of_the_released_files() -> None:
    with torch.device("meta"):
        deep = {depth: VGGFeatures(depth) for depth in (16, 19)}
    convolutions = {
        depth: [int(key.split(".")[1]) for key in vgg.state_dict() if key.endswith("weight")]
        for depth, vgg in deep.items()
    }
    assert convolutions[16] == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    assert convolutions[19] == [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert isinstance(deep[19].features[36], nn.MaxPool2d)


def test_recognises_its_own_tensors() -> None:
    net = METHOD.recognise(generator().state_dict())
    assert isinstance(net, PGGAN)
    assert net.config == SMALL
    with torch.device("meta"):
        released = METHOD.recognise(mganprior.networks()["pggan"].state_dict())
    assert isinstance(released, PGGAN)
    assert released.config == PGGANConfig()
    assert released.config.size == 1024
    assert METHOD.recognise({}) is None
    assert METHOD.recognise({k: v for k, v in generator().state_dict().items() if k != "lod"}) is None


def test_loads_the_released_files(
    small: MGANPriorRestorer, crops: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restorer_module, "VGGFeatures", lambda depth: VGGFeatures(depth, 5))
    path = tmp_path / "pggan_celebahq1024_generator.pth"
    torch.save(generator().state_dict(), path)
    assert small.vgg is not None
    with_classifier = {**small.vgg.state_dict(), "classifier.0.weight": torch.ones(2, 2)}
    torch.save(with_classifier, tmp_path / "vgg16-397923af.pth")
    loaded = mganprior.load(torch.device("cpu"), torch.float32, path)
    assert loaded.card is mganprior.CARD
    assert len(loaded.fingerprint) == 64
    assert torch.equal(loaded.restore(crops[:1], **SEEN), small.restore(crops[:1], **SEEN))


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"a.weight": torch.ones(2)}, path)
    with pytest.raises(WeightsError, match=r"other\.pth holds no weights of mganprior"):
        mganprior.load(torch.device("cpu"), torch.float32, path)
    torch.save({"features.0.weight": torch.ones(2)}, tmp_path / "vgg16-397923af.pth")
    with pytest.raises(WeightsError, match=r"vgg16-397923af\.pth does not fit"):
        restorer_module.read_vgg(tmp_path / "vgg16-397923af.pth")
