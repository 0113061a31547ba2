"""IDM on small networks: the chain, what a checkpoint says of its training, options, and loading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from likeness.diffusion import Schedule, ancestral_step, diffuse, eps_of, sample, seeded_noise
from likeness.methods import OptionError, idm
from likeness.methods.idm.checkpoint import METHOD, read_denoiser
from likeness.methods.idm.ddpm_unet import DDPMConfig, DDPMUNet
from likeness.methods.idm.network import Denoiser, UNet, build, read_sizes
from likeness.methods.idm.restorer import IDMRestorer
from likeness.methods.idm.sr3_unet import SR3Config, SR3UNet
from likeness.methods.progress import listening
from likeness.methods.recognise import convert_file
from likeness.weights.errors import WeightsError
from parity_fixture import fill

CPU, FLOAT = torch.device("cpu"), torch.float32
HO = DDPMConfig(ch=32, ch_mult=(1, 2), num_res_blocks=1, attention=(1,))
HO_GAMMA = replace(HO, conditioning="gamma")
SR3 = SR3Config(inner_channel=16, channel_mults=(1, 2), res_blocks=1, attention=(1,), norm_groups=8)
LINEAR = {"kind": "linear", "first": 1e-4, "last": 2e-2, "steps": 1000}
X0 = {"prediction": "x0", "schedule": LINEAR}


def filled(net: UNet) -> UNet:
    net.load_state_dict({key: fill(key, list(v.shape), 1.0, []) for key, v in net.state_dict().items()})
    return net.eval()


def restorer(net: UNet, prediction: str = "x0", dtype: torch.dtype = FLOAT) -> IDMRestorer:
    return IDMRestorer(Denoiser(net, prediction, Schedule.linear()), CPU, dtype, "abc")


@pytest.fixture(scope="module", params=[HO, HO_GAMMA, SR3], ids=["ho", "ho-gamma", "sr3"])
def net(request: pytest.FixtureRequest) -> UNet:
    return filled(build(request.param))


@pytest.fixture(scope="module")
def ho() -> UNet:
    return filled(DDPMUNet(HO))


@pytest.fixture(scope="module")
def crops() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class Scripted(nn.Module):
    """In the place of a network: it notes what it is told and answers with ``answer(degraded, x_t, gamma)``."""

    factor = 2

    def __init__(self, answer: Any, conditioning: str = "t") -> None:
        super().__init__()
        self.answer, self.conditioning = answer, conditioning
        self.told: list[float] = []

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        assert level.shape == (len(x),)
        assert len(set(level.tolist())) == 1
        self.told.append(level[0].item())
        gammas = Schedule.linear().gammas
        t = abs(gammas**0.5 - self.told[-1]).argmin() if self.conditioning == "gamma" else int(self.told[-1])
        return self.answer(x[:, :3], x[:, 3:], float(gammas[t]))  # type: ignore[no-any-return]


# The chain


@pytest.mark.parametrize("sampler", [0, 1, 2])
@pytest.mark.parametrize("prediction", ["x0", "eps"])
@pytest.mark.parametrize("conditioning", ["t", "gamma"])
def test_a_network_that_knows_the_answer_gives_it(
    crops: Tensor, sampler: int, prediction: str, conditioning: str
) -> None:
    """The answer is the degraded picture itself, as x0 or as the noise that is then in x_t."""

    def answer(degraded: Tensor, x_t: Tensor, gamma: float) -> Tensor:
        assert x_t.std() > 0.5 * degraded.std()
        return degraded if prediction == "x0" else eps_of(x_t, degraded, gamma)

    net: Any = Scripted(answer, conditioning)
    for steps in (1, 2, 10):
        out = restorer(net, prediction).restore(crops, steps=steps, sampler=sampler, eta=0.5)
        torch.testing.assert_close(out, crops, rtol=0, atol=5e-5)  # float32 of eps at gamma = 4e-5


def test_the_steps_that_are_asked(crops: Tensor) -> None:
    by_step: Any = Scripted(lambda degraded, x_t, gamma: degraded)
    restorer(by_step).restore(crops)  # the paper's ten
    assert by_step.told == [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]
    by_step.told.clear()
    restorer(by_step).restore(crops, steps=1)
    assert by_step.told == [999]  # pure noise, not the least noisy step
    by_gamma: Any = Scripted(lambda degraded, x_t, gamma: degraded, "gamma")
    restorer(by_gamma).restore(crops, steps=4)
    betas = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    gammas = (1 - betas).cumprod(0)[[999, 666, 333, 0]]
    assert by_gamma.told == pytest.approx(gammas.sqrt().tolist(), rel=1e-6)


def test_ancestral_sampling_is_that_of_the_library(ho: UNet, crops: Tensor) -> None:
    schedule = Schedule.linear()
    degraded = crops * 2 - 1

    def predict(x_t: Tensor, gamma: float) -> Tensor:
        t = int((schedule.gammas == gamma).argmax())
        return ho(torch.cat([degraded, x_t], 1), torch.full((4,), t)).clamp(-1, 1)  # type: ignore[no-any-return]

    gammas = [float(schedule.gammas[t]) for t in (999, 666, 333, 0)]
    with torch.inference_mode():
        wanted = sample(predict, gammas, seeded_noise((3, 16, 16), [7] * 4))
    assert torch.equal(restorer(ho).restore(crops, steps=4, seed=7), (wanted + 1) / 2)


def test_two_steps_of_each_sampler_by_hand(crops: Tensor) -> None:
    """papers/001, eq. 8, and Song et al. 2021, eq. 12: written out once more, in float64."""
    schedule, degraded = Schedule.linear(), crops.double() * 2 - 1
    first, second = (float(schedule.gammas[t]) for t in (999, 0))
    seen: list[Tensor] = []

    def answer(degraded: Tensor, x_t: Tensor, gamma: float) -> Tensor:
        seen.append(x_t.double())
        return 1.2 * degraded  # partly beyond [-1, 1]

    net: Any = Scripted(answer)
    draw = seeded_noise((3, 16, 16), [3] * 4)
    x_t, noise = draw().double(), draw().double()
    x0 = (1.2 * degraded).clamp(-1, 1)  # eps belongs to the clamped one
    eps = (x_t - first**0.5 * x0) / (1 - first) ** 0.5
    alpha = first / second
    sigma = 0.5 * ((1 - second) / (1 - first) * (1 - alpha)) ** 0.5
    wanted = {
        0: ancestral_step(x_t, x0, first, second, noise),
        1: second**0.5 * x0 + (1 - second - sigma**2) ** 0.5 * eps + sigma * noise,
        2: (x_t - (1 - alpha) / (1 - first) ** 0.5 * eps) / alpha**0.5 + (1 - alpha) ** 0.5 * noise,
    }
    for sampler, expected in wanted.items():
        seen.clear()
        out = restorer(net).restore(crops, steps=2, sampler=sampler, eta=0.5, seed=3)
        assert torch.equal(seen[0], x_t)
        # Eq. 8 divides by sqrt(alpha) = 0.0064, and with it the rounding of float32.
        torch.testing.assert_close(seen[1], expected, rtol=0, atol=1e-4 if sampler == 2 else 1e-6)
        torch.testing.assert_close(out, ((x0 + 1) / 2).float(), rtol=0, atol=1e-6)


def test_ddim_without_eta_draws_no_further_noise(ho: UNet, crops: Tensor) -> None:
    with_it, none = (restorer(ho).restore(crops, steps=4, sampler=1, eta=eta) for eta in (1.0, 0.0))
    ancestral = restorer(ho).restore(crops, steps=4)
    torch.testing.assert_close(with_it, ancestral, rtol=0, atol=1e-3)  # the same law, step by step; amplified rounding
    assert (none - ancestral).abs().max() > 0.02
    assert torch.equal(none, restorer(ho).restore(crops, steps=4, sampler=1))  # the default


def test_progress_is_told(ho: UNet, crops: Tensor) -> None:
    heard: list[tuple[int, int]] = []
    with listening(lambda done, total: heard.append((done, total))):
        restorer(ho).restore(crops[:1], steps=3)
    assert heard == [(1, 3), (2, 3), (3, 3)]


# What users meet


def test_same_seed_same_pixels(net: UNet, crops: Tensor) -> None:
    own = restorer(net)
    one = own.restore(crops, seed=1, steps=3)
    assert one.shape == crops.shape
    assert one.dtype == torch.float32
    assert 0 <= one.min() <= one.max() <= 1
    assert torch.equal(one, own.restore(crops, seed=1, steps=3))
    assert (one - own.restore(crops, seed=2, steps=3)).abs().max() > 0.02
    assert idm.CARD.stochastic


def test_a_batch_gives_what_each_picture_gives_alone(net: UNet, crops: Tensor) -> None:
    """Up to rounding of convolutions of another batch, which these untrained networks amplify from step to step."""
    together = restorer(net).restore(crops, steps=3)
    for index in range(4):
        alone = restorer(net).restore(crops[index : index + 1], steps=3)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.02


def test_the_degraded_picture_and_the_level_matter(net: UNet) -> None:
    x = torch.rand(2, 6, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        out = net(x, torch.tensor([0.3, 0.3]))
        assert (out - net(x.roll(3, 1), torch.tensor([0.3, 0.3]))).abs().max() > 0.05
        later = net(x, torch.tensor([0.3, 0.9]) if net.conditioning == "gamma" else torch.tensor([0.3, 700.0]))
    torch.testing.assert_close(later[0], out[0], rtol=0, atol=1e-5)
    assert (later[1] - out[1]).abs().max() > 1e-3


def test_other_sizes(net: UNet) -> None:
    wide = torch.rand(1, 3, 6, 14, generator=torch.Generator().manual_seed(2))
    assert restorer(net).restore(wide, steps=2).shape == wide.shape
    for shape in [(1, 3, 7, 14), (1, 3, 6, 13), (1, 1, 6, 14), (3, 6, 14)]:
        with pytest.raises(ValueError, match=r"expected \(B, 3, H, W\) with H and W multiples of 2"):
            restorer(net).restore(torch.zeros(shape))


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"steps": 1001}, {"steps": 2.5}, {"sampler": 3}, {"sampler": -1}, {"eta": 1.1}, {"fidelity": 0.5}],
)
def test_options_out_of_range_are_refused(ho: UNet, crops: Tensor, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        restorer(ho).restore(crops, **options)


def test_more_steps_than_were_trained_are_refused(ho: UNet, crops: Tensor) -> None:
    short = IDMRestorer(Denoiser(ho, "x0", Schedule.linear(steps=8)), CPU, FLOAT, "abc")
    assert short.restore(crops, steps=8).shape == crops.shape
    with pytest.raises(OptionError, match=r"steps must be in \[1, 8\] with these weights, got 10"):
        short.restore(crops)


def test_it_runs_under_autocast(net: UNet, crops: Tensor) -> None:
    half, whole = (restorer(net, dtype=dtype).restore(crops, steps=2) for dtype in (torch.bfloat16, FLOAT))
    assert half.dtype == torch.float32
    assert not torch.equal(half, whole)
    assert (half - whole).abs().mean() < 0.05


# Networks


def test_the_network_for_512_pixels() -> None:
    with torch.device("meta"):
        net = idm.networks()["unet"]
    assert sum(p.numel() for p in net.parameters()) == 122_897_027
    assert read_sizes(net.state_dict()) == DDPMConfig()
    assert isinstance(net, DDPMUNet)
    assert net.factor == 64  # 512 -> 8


@pytest.mark.parametrize(
    "sizes",
    [
        HO,
        HO_GAMMA,
        DDPMConfig(ch=64, ch_mult=(1, 1, 3), num_res_blocks=3, attention=()),
        DDPMConfig(conditioning="gamma"),
        SR3Config(),
        SR3Config(inner_channel=32, channel_mults=(1, 2, 2, 4), res_blocks=2, attention=(1, 3)),
    ],
)
def test_sizes_are_read_from_keys_and_shapes(sizes: DDPMConfig | SR3Config) -> None:
    with torch.device("meta"):
        state = build(sizes).state_dict()
    assert read_sizes(state) == sizes
    for key in ("conv_in.weight", "temb.dense.0.weight", "gamma_emb.dense.0.weight", "downs.0.weight"):
        if key in state:
            assert read_sizes({k: v for k, v in state.items() if k != key}) is None


@pytest.mark.parametrize("sizes", [HO, SR3])
def test_networks_for_other_tasks_are_not_ours(sizes: DDPMConfig | SR3Config) -> None:
    """Those that make pictures from noise alone have three channels in."""
    assert METHOD.recognise(build(sizes).state_dict()) is not None
    assert METHOD.recognise(build(replace(sizes, in_channels=3)).state_dict()) is None
    assert METHOD.recognise({}) is None
    assert METHOD.recognise({"conv_in.weight": torch.zeros(3), "conv_out.weight": torch.zeros(3)}) is None


def test_conditioning_shows_in_the_keys() -> None:
    by_t, by_gamma = (set(build(sizes).state_dict()) for sizes in (HO, HO_GAMMA))
    assert by_t - by_gamma == {f"temb.dense.{i}.{k}" for i in (0, 1) for k in ("weight", "bias")}
    assert {key.replace("gamma_emb.", "temb.") for key in by_gamma} == by_t


@pytest.mark.parametrize("sizes", [HO, HO_GAMMA, SR3])
def test_every_weight_is_trained(sizes: DDPMConfig | SR3Config) -> None:
    torch.manual_seed(0)
    net = build(sizes)
    denoise = Denoiser(net, "x0", Schedule.linear())
    x0, degraded, noise = torch.randn(3, 2, 3, 8, 8).unbind()
    gamma = torch.tensor([0.3, 0.8])
    level = gamma.sqrt() if net.conditioning == "gamma" else torch.tensor([400, 200])
    answer = denoise(diffuse(x0, gamma, noise), degraded, level)
    if isinstance(net, DDPMUNet):
        assert answer.abs().max() < 1e-3  # Ho's initial weights give nothing
    (answer - x0).abs().mean().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    untouched = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not [name for name in untouched if "k.bias" not in name]  # softmax does not see it


# Loading


def save(path: Path, held: Mapping[str, Any]) -> Path:
    torch.save(dict(held), path)
    return path


def load(path: Path) -> IDMRestorer:
    return idm.load(CPU, FLOAT, path)


def test_a_file_of_our_training(ho: UNet, crops: Tensor, tmp_path: Path) -> None:
    wanted = restorer(ho).restore(crops, steps=2)
    plain = {"state_dict": ho.state_dict(), "config": {**X0, "conditioning": "t"}, "step": 3}
    bare = load(save(tmp_path / "bare.pth", ho.state_dict()))
    own = load(save(tmp_path / "own.pth", plain))
    save_file(ho.state_dict(), tmp_path / "own.safetensors", {"config": json.dumps(X0)})
    for loaded in (bare, own, load(tmp_path / "own.safetensors")):
        assert torch.equal(loaded.restore(crops, steps=2), wanted)
        assert loaded.card is idm.CARD
        assert loaded.denoiser.schedule.gammas.tolist() == Schedule.linear().gammas.tolist()
    assert bare.fingerprint != own.fingerprint
    save_file(ho.state_dict(), tmp_path / "bare.safetensors", {"format": "pt"})
    assert torch.equal(load(tmp_path / "bare.safetensors").restore(crops, steps=2), wanted)


def test_the_config_decides(ho: UNet, crops: Tensor, tmp_path: Path) -> None:
    wanted = restorer(ho).restore(crops[:1], steps=3)
    for change in ({"prediction": "eps"}, {"schedule": {**LINEAR, "last": 1e-2}}, {"schedule": {**LINEAR, "steps": 9}}):
        config = {**X0, **change}
        path = save(tmp_path / "own.pth", {"state_dict": ho.state_dict(), "config": config})
        assert (load(path).restore(crops[:1], steps=3) - wanted).abs().max() > 1e-3, change
        save_file(ho.state_dict(), tmp_path / "own.safetensors", {"config": json.dumps(config), "method": "idm"})
        assert torch.equal(
            load(tmp_path / "own.safetensors").restore(crops[:1], steps=3), load(path).restore(crops[:1], steps=3)
        )
    scaled = {"kind": "scaled_linear", "first": 0.01, "last": 0.04, "steps": 3}
    path = save(tmp_path / "own.pth", {"state_dict": ho.state_dict(), "config": {**X0, "schedule": scaled}})
    assert read_denoiser(path).schedule.betas.tolist() == pytest.approx([0.01, 0.0225, 0.04])


def test_a_generator_file_of_sr3(crops: Tensor, tmp_path: Path) -> None:
    """Of the sizes for 64 -> 512 in everything but the width, hence it must say its groups; then of those sizes."""
    net = filled(SR3UNet(SR3))
    betas = torch.linspace(1e-6, 1e-2, 2000)
    generator = {f"denoise_fn.{key}": value for key, value in net.state_dict().items()}
    generator |= {"betas": betas, "alphas_cumprod": (1 - betas).cumprod(0)}
    assert METHOD.unpack(generator).keys() == net.state_dict().keys()
    with pytest.raises(WeightsError, match="needs norm_groups in its config, a divisor of 16; got None"):
        load(save(tmp_path / "I1_E1_gen.pth", generator))
    schedule = {"kind": "betas", "values": betas.tolist()}
    config = {"prediction": "eps", "schedule": schedule, "norm_groups": 8}
    loaded = load(save(tmp_path / "I1_E1_gen.pth", {"state_dict": generator, "config": config}))
    assert isinstance(loaded.net, SR3UNet)
    assert loaded.net.config == SR3
    assert len(loaded.denoiser.schedule) == 2000
    own = IDMRestorer(Denoiser(net, "eps", Schedule.from_betas(betas.double().numpy())), CPU, FLOAT, "abc")
    assert torch.equal(loaded.restore(crops, steps=3), own.restore(crops, steps=3))
    with pytest.raises(WeightsError, match="neither its betas nor a config"):
        load(save(tmp_path / "bare.pth", net.state_dict()))


def test_what_a_generator_file_means(tmp_path: Path) -> None:
    """By its config, without filling 155 million weights."""
    from likeness.methods.idm.checkpoint import _groups, read_config, read_schedule

    path = save(tmp_path / "I1_E1_gen.pth", {})
    config = read_config({"betas": torch.linspace(1e-6, 1e-2, 2000)}, SR3Config(), path)
    assert config["prediction"] == "eps"
    schedule = read_schedule(config["schedule"], path)
    assert schedule.gammas == pytest.approx(Schedule.linear(1e-6, 1e-2, 2000).gammas, rel=1e-4)
    assert _groups(config.get("norm_groups"), SR3Config(), path) == 16


BAD = {
    "prediction must be x0 or eps, not 'v'": {**X0, "prediction": "v"},
    "its config must give prediction and schedule": {"prediction": "x0"},
    "and may give conditioning and norm_groups": {**X0, "variance": "large"},
    "conditioning is 'gamma', but its keys are for t": {**X0, "conditioning": "gamma"},
    r"no valid noise schedule \('cosine'\)": {**X0, "schedule": {**LINEAR, "kind": "cosine"}},
    r"no valid noise schedule \('last'\)": {**X0, "schedule": {"kind": "linear", "first": 1e-4, "steps": 10}},
    "no valid noise schedule.*levels must fall": {**X0, "schedule": {**LINEAR, "last": 2.0}},
    "no valid noise schedule.*steps must be in": {**X0, "schedule": {**LINEAR, "steps": 0}},
    "no valid noise schedule.*could not convert": {**X0, "schedule": {**LINEAR, "first": "x"}},
    "no valid noise schedule.*indices": {**X0, "schedule": "linear"},
    "no valid noise schedule.*expected two tables": {**X0, "schedule": {"kind": "betas", "values": []}},
}


@pytest.mark.parametrize("message", BAD)
def test_a_config_that_says_nothing_usable_is_refused(ho: UNet, tmp_path: Path, message: str) -> None:
    path = save(tmp_path / "own.pth", {"state_dict": ho.state_dict(), "config": BAD[message]})
    with pytest.raises(WeightsError, match=message) as refused:
        load(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("metadata", [{"method": "idm", "sha256": "0"}, {"config": "{"}])
def test_a_converted_file_must_say_how_it_was_trained(ho: UNet, tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file(ho.state_dict(), tmp_path / "own.safetensors", metadata)
    with pytest.raises(WeightsError, match="its metadata do not say in config how it was trained"):
        load(tmp_path / "own.safetensors")


def test_wrong_files_are_refused(ho: UNet, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no weights of idm"):
        load(save(tmp_path / "other.pth", {"fc.weight": torch.zeros(2, 2)}))
    partial = {key: value for key, value in ho.state_dict().items() if key != "mid.attn_1.q.weight"}
    with pytest.raises(WeightsError, match=r"missing mid\.attn_1\.q\.weight"):
        load(save(tmp_path / "partial.pth", partial))
    with pytest.raises(WeightsError, match="are not there"):
        load(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="no weights of idm are published: train it"):
        idm.load(CPU, FLOAT)
    assert idm.method() is METHOD


@pytest.mark.parametrize("kind", ["own", "sr3"])
def test_a_clean_copy_keeps_what_the_file_says(kind: str, tmp_path: Path) -> None:
    source, target = tmp_path / "own.ckpt", tmp_path / "clean.safetensors"
    if kind == "own":
        schedule = {"kind": "linear", "first": 1e-3, "last": 3e-2, "steps": 50}
        config = {"prediction": "eps", "schedule": schedule}
        torch.save({"state_dict": filled(DDPMUNet(HO)).state_dict(), "config": config}, source)
    else:
        schedule = {"kind": "betas", "values": [1e-3, 1e-2, 2e-2]}
        config = {"prediction": "eps", "schedule": schedule, "norm_groups": 8}
        torch.save({"state_dict": filled(SR3UNet(SR3)).state_dict(), "config": config}, source)
    convert_file(source, target, ["idm"])
    one, other = read_denoiser(source), read_denoiser(target)
    assert other.prediction == "eps"
    assert one.schedule.gammas.tolist() == other.schedule.gammas.tolist()
    assert len(other.schedule) == (50 if kind == "own" else 3)
