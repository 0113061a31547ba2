"""PULSE on a small generator: the search, when it stops, what it gives when it fails, and reading its files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from small_stylegan import awake
from torch import Tensor

from likeness.methods import OptionError, pulse
from likeness.methods.progress import listening
from likeness.methods.pulse import gaussian
from likeness.methods.pulse import restorer as restorer_module
from likeness.methods.pulse.gaussian import GaussianFit, fit_gaussian
from likeness.methods.pulse.objective import Weights, geocross
from likeness.methods.pulse.optimise import (
    FIXED,
    UP_AND_DOWN,
    WITH_DROP,
    Found,
    Search,
    count_numbers,
    first_state,
    run,
    scheduled,
)
from likeness.methods.pulse.restorer import METHOD, PulseRestorer, reduced
from likeness.methods.pulse.synthesis import Blur, Mapping, Synthesis, SynthesisConfig, UpConv
from likeness.weights.load import WeightsError

SMALL = SynthesisConfig((8, 8, 6, 4), latent=16)
QUICK: dict[str, Any] = {"steps": 3, "reference": 16, "quiet_layer": 7, "strict": 0}


def fit_of(latent: int) -> GaussianFit:
    generator = torch.Generator().manual_seed(3)
    return GaussianFit(torch.randn(latent, generator=generator) * 0.3, torch.rand(latent, generator=generator) + 0.5)


def restorer(dtype: torch.dtype = torch.float32) -> PulseRestorer:
    return PulseRestorer(awake(Synthesis(SMALL)), fit_of(16), torch.device("cpu"), dtype, "none")


@pytest.fixture(scope="module")
def small() -> PulseRestorer:
    return restorer()


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Four smooth pictures."""
    generator = torch.Generator().manual_seed(5)
    return F.interpolate(torch.rand(4, 3, 6, 6, generator=generator), size=(512, 512), mode="bilinear")


def count_steps(restore: Any) -> int:
    told: list[tuple[int, int]] = []
    with listening(lambda done, total: told.append((done, total))):
        restore()
    return len(told)


@pytest.mark.parametrize("fused", [False, True])
def test_enlarging_is_what_the_published_network_does(fused: bool) -> None:
    torch.manual_seed(0)
    layer, x = UpConv(5, 7, fused), torch.randn(2, 5, 6, 6)
    layer.bias.data.normal_()
    weight = layer.weight * (2 / (5 * 9)) ** 0.5
    if fused:  # zeros between the pixels, and the kernel added to itself shifted by a pixel in both directions
        padded = F.pad(weight, (1, 1, 1, 1))
        kernel = sum(padded[:, :, i : i + 4, j : j + 4] for i, j in itertools.product((0, 1), (0, 1)))
        wanted = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)
    else:
        wanted = F.conv2d(F.interpolate(x, scale_factor=2.0), weight, padding=1)
    wanted = Blur()(wanted) + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-5)


def test_geocross_is_the_squared_angle_between_layers() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    direction = x[0] / x[0].norm(dim=1, keepdim=True)
    angles = (direction @ direction.T).clamp(-1, 1).acos().fill_diagonal_(0)
    equal = direction[None] * 3.0
    torch.testing.assert_close(geocross(equal), angles.square().mean() * 64, rtol=1e-5, atol=0)
    both = torch.cat([equal, x])
    torch.testing.assert_close(geocross(both), geocross(equal) + geocross(x))


def test_schedules() -> None:
    assert [scheduled(FIXED, done, 10) for done in range(10)] == [1.0] * 10
    rises = [scheduled(UP_AND_DOWN, done, 100) for done in range(100)]
    assert rises[0] == pytest.approx(0.1)
    assert rises[50] == max(rises) == pytest.approx(1.0)
    drops = [scheduled(WITH_DROP, done, 100) for done in range(100)]
    assert drops[45] == max(drops) == pytest.approx(1.0)
    assert drops[90] == pytest.approx(0.1)
    assert drops[95] == pytest.approx((0.1 + 0.001) / 2)


def test_the_first_state_is_random_but_for_the_quiet_layer() -> None:
    numbers = torch.randn(count_numbers(SMALL, 7))
    latent, noises = first_state(SMALL, numbers, 7)
    assert latent.shape == (1, 8, 16)
    assert [n.shape[-1] for n in noises] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert not noises[7].any()
    assert torch.equal(torch.cat([t.flatten() for t in (latent, *noises[:7])]), numbers)
    assert count_numbers(SMALL, -1) == count_numbers(SMALL, 7) + 32**2


def test_the_photo_is_reduced_to_eight_bits() -> None:
    photo = torch.rand(1, 3, 512, 512)
    small = reduced(photo, 32)
    assert small.shape == (1, 3, 32, 32)
    torch.testing.assert_close((small * 255).round() / 255, small, rtol=0, atol=1e-7)
    torch.testing.assert_close(
        small, photo.unflatten(3, (32, 16)).unflatten(2, (32, 16)).mean((3, 5)), rtol=0, atol=0.1
    )


def test_the_search_approaches_the_photo_and_stays_on_its_spheres(small: PulseRestorer, crops: Tensor) -> None:
    torch.manual_seed(0)
    latent, noises = first_state(SMALL, torch.randn(count_numbers(SMALL, 7)), 7)
    before, untouched = [latent.clone(), *(n.clone() for n in noises)], [n.clone() for n in noises]
    search = Search(small.net, small.fit, reduced(crops[:1], 16), (latent, noises), Weights(), range(5), 30)
    found = [search.step().losses for _ in range(30)]
    assert found[-1].l2 < 0.5 * found[0].l2
    assert all(p.grad is None for p in small.net.parameters())
    torch.testing.assert_close(latent.norm(dim=2), before[0].norm(dim=2))
    for layer, noise in enumerate(noises):
        torch.testing.assert_close(noise.norm(), before[layer + 1].norm())
        assert torch.equal(noise, untouched[layer]) == (layer >= 5)


def test_a_batch_gives_what_each_face_gives_alone(small: PulseRestorer, crops: Tensor) -> None:
    together = small.restore(crops, seed=3, **QUICK)
    assert together.shape == crops.shape
    assert 0 <= together.min() < together.max() <= 1
    for index in range(4):  # they are searched one by one, hence to the last bit
        assert torch.equal(together[index : index + 1], small.restore(crops[index : index + 1], seed=3, **QUICK))
    assert not torch.equal(together[0], together[1])


def test_the_seed_decides(small: PulseRestorer, crops: Tensor) -> None:
    first = small.restore(crops[:1], seed=1, **QUICK)
    torch.rand(7)
    assert torch.equal(small.restore(crops[:1], seed=1, **QUICK), first)
    assert (small.restore(crops[:1], seed=2, **QUICK) - first).abs().max() > 0.05
    assert pulse.CARD.stochastic


def test_it_searches_within_inference_mode_too(small: PulseRestorer, crops: Tensor) -> None:
    with torch.inference_mode():
        out = small.restore(crops[:1].clone(), seed=1, **QUICK)
    assert torch.equal(out, small.restore(crops[:1], seed=1, **QUICK))
    assert not out.requires_grad


def test_a_search_that_fails_fails_its_face_only(
    small: PulseRestorer, crops: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest: list[float] = []

    def spy(search: Search, *limits: Any) -> Found:
        step, seen = search.step, []
        search.step = lambda: seen.append(step()) or seen[-1]  # type: ignore[method-assign, func-returns-value]
        found = run(search, *limits)
        lowest.append(min(float(one.losses.l2) for one in seen))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(restorer_module, "run", spy)
        small.restore(crops[:2], **{**QUICK, "eps": 0})
    near, far = sorted(range(2), key=lowest.__getitem__)
    assert lowest[near] < lowest[far]
    strict, lenient = (small.restore(crops[:2], **{**QUICK, "eps": sum(lowest) / 2, "strict": s}) for s in (1, 0))
    assert strict[near].isfinite().all()
    assert strict[far].isnan().all()
    assert lenient.isfinite().all()
    assert strict.shape == crops[:2].shape


def test_it_can_stop_early(small: PulseRestorer, crops: Tensor) -> None:
    def steps(**options: float) -> int:
        return count_steps(lambda: small.restore(crops[:1], **{**QUICK, "steps": 6, **options}))

    assert steps() == steps(eps=1.0) == 6
    assert steps(seconds=1e-6) == 1
    assert steps(patience=1, eps=1.0) == 1
    assert steps(patience=1, learning_rate=1e-6, schedule=FIXED, l2=0, geocross=0) == 2


def test_progress_counts_all_faces(small: PulseRestorer, crops: Tensor) -> None:
    told: list[tuple[int, int]] = []
    with listening(lambda done, total: told.append((done, total))):
        small.restore(crops[:2], **QUICK)
    assert told == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    "options",
    [{"reference": 24}, {"reference": 64}, {"steps": 0}, {"eps": -1}, {"strict": 2}, {"fidelity": 0.5}],
    ids=["no power of two", "larger than the generator's", "no step", "negative", "neither", "unknown"],
)
def test_options_out_of_range_are_refused(small: PulseRestorer, crops: Tensor, options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        small.restore(crops[:1], **options)


def test_other_shapes_are_refused(small: PulseRestorer) -> None:
    with pytest.raises(ValueError, match="512"):
        small.restore(torch.zeros(1, 3, 256, 256))


def test_it_runs_under_autocast(crops: Tensor) -> None:
    out = restorer(torch.bfloat16).restore(crops[:1], **QUICK)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


def test_the_fit_is_of_the_mapping_with_its_last_activation_undone() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(4, 4)
    z = torch.randn(1000, 4)
    with torch.no_grad():
        fit = fit_gaussian(lambda x: F.leaky_relu(linear(x), 0.2), z.split(300)).to(torch.device("cpu"))
        torch.testing.assert_close(fit.mean, linear(z).mean(0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fit.std, linear(z).std(0), rtol=1e-4, atol=1e-5)
        wanted = F.leaky_relu(linear(z) * 0 + fit.mean, 0.2)
        torch.testing.assert_close(fit.latents(torch.zeros(1000, 4)), wanted)


def test_recognises_its_own_tensors() -> None:
    net = METHOD.recognise(Synthesis(SMALL).state_dict())
    assert isinstance(net, Synthesis)
    assert net.config == SMALL
    with torch.device("meta"):
        released = METHOD.recognise(pulse.networks()["synthesis"].state_dict())
    assert isinstance(released, Synthesis)
    assert released.config == SynthesisConfig()
    assert released.config.size == 1024
    assert METHOD.recognise({}) is None
    assert METHOD.recognise(Mapping(8, 2).state_dict()) is None


def save_both(folder: Path) -> Path:
    fit, path = fit_of(16), folder / "synthesis.pt"
    torch.save({"mean": fit.mean, "std": fit.std}, folder / "gaussian_fit.pt")
    torch.save(awake(Synthesis(SMALL)).state_dict(), path)
    return path


def load(path: Path) -> PulseRestorer:
    return pulse.load(torch.device("cpu"), torch.float32, path)


def test_loads_the_released_files(small: PulseRestorer, crops: Tensor, tmp_path: Path) -> None:
    loaded = load(save_both(tmp_path))
    assert loaded.card is pulse.CARD
    assert len(loaded.fingerprint) == 64
    assert torch.equal(loaded.restore(crops[:1], **QUICK), small.restore(crops[:1], **QUICK))


def test_computes_the_fit_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_both(tmp_path)
    fingerprint = load(path).fingerprint
    (tmp_path / "gaussian_fit.pt").unlink()
    torch.manual_seed(0)
    mapping = Mapping(16)
    torch.save(mapping.state_dict(), tmp_path / "mapping.pt")
    monkeypatch.setattr(gaussian, "DRAWS", 20_000)
    loaded = load(path)
    with torch.no_grad():
        x = F.leaky_relu(mapping(torch.randn(20_000, 16)), 5.0)
    error = x.std(0) / 20_000**0.5
    assert ((loaded.fit.mean - x.mean(0)).abs() < 7 * error).all()
    assert loaded.fingerprint != fingerprint
    assert torch.equal(load(path).fit.mean, loaded.fit.mean)


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = save_both(tmp_path)
    other = tmp_path / "other.pt"
    torch.save({"a.weight": torch.ones(2)}, other)
    with pytest.raises(WeightsError, match=r"other\.pt holds no weights of pulse"):
        load(other)
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "gaussian_fit.pt")
    with pytest.raises(WeightsError, match=r"gaussian_fit\.pt holds neither"):
        load(path)
    torch.save({"mean": torch.zeros(8), "std": torch.ones(8)}, tmp_path / "gaussian_fit.pt")
    with pytest.raises(WeightsError, match="of 8 numbers, not 16"):
        load(path)
    (tmp_path / "gaussian_fit.pt").unlink()
    with pytest.raises(WeightsError, match="needs its Gaussian fit too") as raised:
        load(path)
    assert "\n" not in str(raised.value)
