"""InstantRestore: references, seeds, switches, adapters, precision, and reading released files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from likeness.methods import OptionError, instantrestore
from likeness.methods.instantrestore.attention import Shared, join, take_statistics
from likeness.methods.instantrestore.config import NetworkConfig, Switches, TextConfig, read_config, read_switches
from likeness.methods.instantrestore.lora import Adapted, adapt, merge
from likeness.methods.instantrestore.text import PROMPT, TextEncoder
from likeness.methods.progress import listening
from likeness.methods.recognise import convert_file
from likeness.weights.errors import WeightsError
from parity_fixture import fill

pytest.importorskip("diffusers", reason="needs the extra: pip install 'likeness[diffusers]'")

from likeness.methods.instantrestore.network import InstantRestoreNet
from likeness.methods.instantrestore.one_step import OneStep
from likeness.methods.instantrestore.restorer import METHOD, InstantRestoreRestorer, load_released, unpack

SMALL = NetworkConfig(
    unet_widths=(64, 128),
    unet_depth=1,
    unet_heads=(1, 2),
    unet_rank=4,
    vae_widths=(32, 32, 32, 32),
    vae_depth=1,
    vae_rank=2,
    text=TextConfig(dim=64, feedforward=64, layers=1, heads=1),
)
SIZE = 64
CPU = torch.device("cpu")
FINAL = {"model": {"use_adain": True, "train_input": False, "lora_rank_unet": 4, "lora_rank_vae": 2}}


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return {key: fill(key, list(v.shape), 1.0, []) for key, v in InstantRestoreNet(SMALL).state_dict().items()}


@pytest.fixture(scope="module")
def crops() -> Tensor:
    return torch.rand(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def photos() -> list[Tensor]:
    """One, two, three and four references for the four faces."""
    generator = torch.Generator().manual_seed(2)
    return [torch.rand(count, 3, SIZE, SIZE, generator=generator) for count in (1, 2, 3, 4)]


def built(tensors: dict[str, Tensor], dtype: torch.dtype = torch.float32, **given: Any) -> InstantRestoreRestorer:
    net = InstantRestoreNet(SMALL)
    net.load_state_dict(tensors)
    return InstantRestoreRestorer(net, CPU, dtype, "none", size=SIZE, **given)


@pytest.fixture(scope="module")
def restorer(tensors: dict[str, Tensor]) -> InstantRestoreRestorer:
    return built(tensors)


@pytest.fixture
def small_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restorers loaded from files take crops of SIZE pixels."""
    original = InstantRestoreRestorer.__init__
    monkeypatch.setattr(InstantRestoreRestorer, "__init__", lambda *a, **k: original(*a, **k, size=SIZE))


def test_a_batch_gives_what_each_face_gives_alone(
    restorer: InstantRestoreRestorer, crops: Tensor, photos: list[Tensor]
) -> None:
    together = restorer.restore(crops, references=photos)
    assert together.shape == crops.shape
    assert together.dtype == crops.dtype
    assert 0 <= together.min() < together.max() <= 1
    for i in range(4):  # the same pixels: faces are restored one by one
        assert torch.equal(together[i : i + 1], restorer.restore(crops[i : i + 1], references=photos[i : i + 1]))
    assert (together[0] - together[1]).abs().max() > 1e-2


def test_the_seed_decides(restorer: InstantRestoreRestorer, crops: Tensor, photos: list[Tensor]) -> None:
    first = restorer.restore(crops[:1], references=photos[:1], seed=5)
    other = restorer.restore(crops[:1], references=photos[:1], seed=6)
    assert torch.equal(first, restorer.restore(crops[:1], references=photos[:1], seed=5))
    assert (first - other).abs().max() > 1e-3
    assert instantrestore.CARD.stochastic


def test_noises_of_one_face_differ(restorer: InstantRestoreRestorer) -> None:
    draw = restorer._noise(3)
    rows = torch.cat([draw(1), draw(2), draw(2), draw(1)])
    assert rows.shape == (6, 4, SIZE // 8, SIZE // 8)
    assert torch.corrcoef(rows.flatten(1)).fill_diagonal_(0).abs().max() < 0.5


def test_noise_is_drawn_in_the_official_order(
    restorer: InstantRestoreRestorer, crops: Tensor, photos: list[Tensor]
) -> None:
    """The face's sample, the references' samples, the references' noise, the face's noise; a latent at a time."""
    draw = torch.Generator().manual_seed(9)
    rows = [torch.randn(4, SIZE // 8, SIZE // 8, generator=draw) for _ in range(6)]
    signed, its = crops[1:2] * 2 - 1, photos[1] * 2 - 1
    with torch.inference_mode():
        seen = restorer.one_step.look_at(its, torch.stack(rows[1:3]), torch.stack(rows[3:5]))
        wanted = restorer.one_step.restore(signed, seen, rows[0][None], rows[5][None])
    got = restorer.restore(crops[1:2], references=photos[1:2], seed=9)
    assert torch.equal(got, wanted.add(1).div(2))


def test_references_are_used_and_needed(restorer: InstantRestoreRestorer, crops: Tensor, photos: list[Tensor]) -> None:
    mine, other = (restorer.restore(crops[:1], references=[p]) for p in (photos[0], photos[1][:1]))
    assert (mine - other).abs().max() > 1e-3
    assert torch.equal(mine, restorer.restore(crops[:1], references=[photos[0].numpy()]))  # as the pipeline gives them
    with pytest.raises(OptionError, match="needs references"):
        restorer.restore(crops[:1])
    with pytest.raises(OptionError, match="1 to 4"):
        restorer.restore(crops[:1], references=[torch.rand(5, 3, SIZE, SIZE)])
    with pytest.raises(OptionError, match="1 to 4"):
        restorer.restore(crops[:1], references=[torch.rand(0, 3, SIZE, SIZE)])
    with pytest.raises(ValueError, match="for 2 faces, got them for 1"):
        restorer.restore(crops[:2], references=photos[:1])
    with pytest.raises(ValueError, match="references must be"):
        restorer.restore(crops[:1], references=[torch.rand(1, 3, SIZE, 2 * SIZE)])
    with pytest.raises(ValueError, match="expected"):
        restorer.restore(torch.rand(1, 3, 512, 512), references=photos[:1])


def test_a_person_is_looked_at_once(
    tensors: dict[str, Tensor], crops: Tensor, photos: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    original = OneStep.look_at
    monkeypatch.setattr(OneStep, "look_at", lambda self, p, *noise: looks.append(len(p)) or original(self, p, *noise))
    restorer = built(tensors)
    apart = torch.cat([built(tensors).restore(crops[i : i + 1], references=[photos[2]]) for i in range(2)])
    looks.clear()
    assert torch.equal(restorer.restore(crops[:2], references=[photos[2], photos[2].clone()]), apart)
    assert torch.equal(restorer.restore(crops[:2], references=[photos[2]] * 2), apart)
    assert looks == [3]
    restorer.restore(crops[:1], references=[photos[2]], seed=1)  # other noise, other features
    restorer.restore(crops[:1], references=[photos[1]], seed=1)
    restorer.restore(crops[:1], references=[photos[2]], seed=1)  # only the last call's people are kept
    assert looks == [3, 3, 2, 3]


def test_options_change_the_face_and_default_to_the_training(
    tensors: dict[str, Tensor], crops: Tensor, photos: list[Tensor]
) -> None:
    final, base = built(tensors), built(tensors, switches=Switches(adain=False, own_keys=True))

    def run(restorer: InstantRestoreRestorer, **options: float | None) -> Tensor:
        return restorer.restore(crops[1:2], references=photos[1:2], **options)

    assert torch.equal(run(final), run(final, adain=1, own_keys=0, timestep=None))
    assert torch.equal(run(base), run(final, adain=0, own_keys=1, timestep=249))
    for options in ({"adain": 0}, {"own_keys": 1}, {"timestep": 749}):
        assert (run(final) - run(final, **options)).abs().max() > 1e-3, options


@pytest.mark.parametrize("options", [{"adain": 2}, {"own_keys": 0.5}, {"timestep": 0}, {"timestep": 1000}, {"w": 1}])
def test_options_out_of_range_are_refused(
    restorer: InstantRestoreRestorer, crops: Tensor, photos: list[Tensor], options: dict[str, float]
) -> None:
    with pytest.raises(OptionError):
        restorer.restore(crops[:1], references=photos[:1], **options)


def test_tells_how_far_it_is(restorer: InstantRestoreRestorer, crops: Tensor, photos: list[Tensor]) -> None:
    heard: list[tuple[int, int]] = []
    with listening(lambda done, total: heard.append((done, total))):
        restorer.restore(crops[:2], references=photos[:2])
    assert heard == [(1, 2), (2, 2)]


def test_half_precision_is_that_of_autocast(tensors: dict[str, Tensor], crops: Tensor, photos: list[Tensor]) -> None:
    """Layers kept in bfloat16 give the pixels of layers in float32 that autocast rounds at every call."""
    kept, whole = built(tensors, torch.bfloat16), built(tensors)
    held = {p.dtype for p in kept.one_step.unet.parameters()}
    assert held == {torch.bfloat16, torch.float32}
    matrices = [p for part in (kept.one_step.unet, kept.one_step.vae) for p in part.parameters() if p.ndim > 1]
    assert {p.dtype for p in matrices} == {torch.bfloat16}
    fields = {name: getattr(whole.one_step, name) for name in ("unet", "vae", "original_unet", "original_vae", "text")}
    got = kept.restore(crops[:1], references=photos[:1])
    exact = whole.restore(crops[:1], references=photos[:1])
    whole._seen = {}
    whole.one_step = OneStep(**fields, dtype=torch.bfloat16)
    autocast = whole.restore(crops[:1], references=photos[:1])
    assert got.isfinite().all()
    assert (got - autocast).abs().max() < 0.2 * (got - exact).abs().max()
    assert (got - exact).abs().mean() < 0.05


@pytest.mark.parametrize(
    "base", [nn.Linear(6, 10), nn.Linear(6, 10, bias=False), nn.Conv2d(6, 10, 3, 2, 1)], ids=["linear", "bare", "conv"]
)
@pytest.mark.parametrize(("rank", "scale"), [(4, 0.5), (3, 1 / 3)])
def test_adapters(base: nn.Module, rank: int, scale: float) -> None:
    net = nn.Sequential(nn.Sequential(base))
    net.load_state_dict({key: fill(key, list(v.shape), 1.0, []) for key, v in net.state_dict().items()})
    x = torch.randn(2, 6, 8, 8) if isinstance(base, nn.Conv2d) else torch.randn(2, 6)
    plain = net(x)
    adapt(net, ["0.1"], rank, "one")  # no such layer
    assert torch.equal(net(x), plain)
    adapt(net, ["0"], rank, "one")
    wrapped = net[0][0]
    assert isinstance(wrapped, Adapted)
    assert {key.removeprefix("0.0.") for key in net.state_dict()} == {
        *(f"base_layer.{key}" for key in base.state_dict()), "lora_A.one.weight", "lora_B.one.weight",
    }  # fmt: skip
    correction = wrapped.lora_B["one"](wrapped.lora_A["one"](x))
    assert correction.abs().max() > 0.01
    torch.testing.assert_close(net(x), plain + scale * correction)
    adapted = net(x)
    merge(net)
    assert net[0][0] is base
    torch.testing.assert_close(net(x), adapted, rtol=1e-5, atol=1e-5)


def test_shared_attention_sees_what_it_should() -> None:
    key, value = torch.randn(2, 2, 5, 8)
    keys, values = torch.randn(2, 2, 3, 7, 8)
    layers = {4: (keys, values)}
    seen = join(key, value, 4, Shared(layers, adain=False))
    assert torch.equal(seen[0], torch.cat([keys[:, r] for r in range(3)], dim=1))
    assert torch.equal(seen[1], torch.cat([values[:, r] for r in range(3)], dim=1))
    both = join(key, value, 4, Shared(layers, adain=False, own_keys=True))
    assert torch.equal(both[0], torch.cat([key, seen[0]], dim=1))
    assert torch.equal(both[1], torch.cat([value, seen[1]], dim=1))


def test_statistics_are_taken_over() -> None:
    torch.manual_seed(0)
    own, values = torch.randn(2, 40, 6) * 3 + 1, torch.randn(2, 3, 50, 6) * 0.5 - 2
    values[0, 1] = 0
    got = take_statistics(values, own)
    torch.testing.assert_close(got.mean(2), own.mean(1)[:, None].expand(-1, 3, -1), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(got[1].std(1), own[1].std(0).expand(3, -1), rtol=1e-3, atol=0)
    torch.testing.assert_close(got[0, 1], own[0].mean(0).expand(50, -1))
    assert take_statistics(values.bfloat16(), own.bfloat16()).dtype == torch.bfloat16


def test_words_see_only_those_before_them(tensors: dict[str, Tensor]) -> None:
    assert len(PROMPT) == 77
    net, prefix = TextEncoder(SMALL.text), "net.text_encoder."
    net.load_state_dict({key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)})
    one, other = net(PROMPT), net((*PROMPT[:40], 7, *PROMPT[41:]))
    assert torch.allclose(one[:, :40], other[:, :40], atol=1e-6)
    assert (one[:, 40:] - other[:, 40:]).abs().amax(2).min() > 1e-4


def test_released_sizes_need_no_memory() -> None:
    net = instantrestore.networks()["net"]
    state = net.state_dict()
    assert len(state) == 2894
    assert sum(value.numel() for value in state.values()) == 2_279_006_998
    assert all(value.is_meta for value in state.values())
    assert read_config(state) == NetworkConfig()


def test_recognises_its_own_tensors(tensors: dict[str, Tensor]) -> None:
    assert read_config(tensors) == SMALL
    net = METHOD.recognise(tensors)
    assert {key: v.shape for key, v in net.state_dict().items()} == {key: v.shape for key, v in tensors.items()}
    assert METHOD.recognise({}) is None
    assert METHOD.recognise({key: v for key, v in tensors.items() if "lora" not in key}) is None


def test_unpacks_the_released_nesting() -> None:
    held = {"net.module.unet.a": torch.ones(2), "note": 3}
    for checkpoint in ({"state_dict": held, "optimizer": {"b": torch.ones(1)}}, held):
        assert list(unpack(checkpoint)) == ["net.unet.a"]


@pytest.mark.parametrize(
    ("checkpoint", "wanted"),
    [
        ({}, Switches(adain=True, own_keys=False)),  # a flat file: the final model
        ({"cfg": {"model": {"use_adain": False, "train_input": False}}}, Switches(adain=False, own_keys=False)),
        ({"cfg": {"model": {}}}, Switches(adain=False, own_keys=True)),  # the authors' defaults
        ({"cfg": FINAL}, Switches(adain=True, own_keys=False)),
    ],
)
def test_switches(checkpoint: dict[str, Any], wanted: Switches) -> None:
    assert read_switches(checkpoint) == wanted


@pytest.mark.parametrize(
    "field",
    [
        {"condition_on_face_embeds": True},
        {"use_shortcuts": True},
        {"train_reference_networks": True},
        {"use_shared_attention": False},
    ],
)
def test_unreleased_variants_are_refused(field: dict[str, bool]) -> None:
    with pytest.raises(WeightsError, match=next(iter(field))):
        read_switches({"cfg": {"model": FINAL["model"] | field}})


@pytest.mark.usefixtures("small_faces")
def test_loads_a_released_file_and_its_clean_copy(
    tensors: dict[str, Tensor],
    crops: Tensor,
    photos: list[Tensor],
    restorer: InstantRestoreRestorer,
    tmp_path: Path,
) -> None:
    released, clean, flat = tmp_path / "model.pt", tmp_path / "model.safetensors", tmp_path / "half.safetensors"
    nested = {key.replace("net.", "net.module.", 1): value for key, value in tensors.items()}
    torch.save({"state_dict": nested, "cfg": FINAL, "optimizer": {"state": {0: torch.ones(3)}}}, released)
    convert_file(released, clean, ["instantrestore"])
    wanted = restorer.restore(crops[:1], references=photos[:1])
    for path in (released, clean):
        loaded = instantrestore.load(CPU, torch.float32, path)
        assert loaded.card == instantrestore.CARD
        assert len(loaded.fingerprint) == 64
        got = loaded.restore(
            crops[:1], references=photos[:1]
        )  # a file is mapped: some processors round by where tensors lie
        assert torch.allclose(got, wanted, rtol=0, atol=1e-5)
    save_file({key: value.half() for key, value in tensors.items()}, flat)
    half = load_released(CPU, torch.float32, flat).restore(crops[:1], references=photos[:1])
    assert (half - wanted).abs().mean() < 0.01


@pytest.mark.usefixtures("small_faces")
def test_a_clean_copy_remembers_its_switches(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    released, clean = tmp_path / "base.pt", tmp_path / "base.safetensors"
    torch.save({"state_dict": tensors, "cfg": {"model": {"use_adain": False, "train_input": True}}}, released)
    convert_file(released, clean, ["instantrestore"])
    for path in (released, clean):
        loaded = load_released(CPU, torch.float32, path)
        assert loaded.switches == Switches(adain=False, own_keys=True)
        assert loaded.card.choose({}) == {"adain": 0, "own_keys": 1, "timestep": 249}
    save_file(tensors, clean, {"config": "{"})
    with pytest.raises(WeightsError, match="damaged"):
        load_released(CPU, torch.float32, clean)


def without_a_key(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {"state_dict": {k: v for k, v in tensors.items() if k != "net.vae.quant_conv.bias"}, "cfg": FINAL}


def of_another_shape(tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {"state_dict": {**tensors, "net.vae.quant_conv.bias": torch.ones(3)}}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda tensors: {"a.weight": torch.ones(2)}, "holds no weights of instantrestore"),
        (without_a_key, "missing net.vae.quant_conv.bias"),
        (of_another_shape, "has shape"),
        (lambda tensors: {"state_dict": tensors, "cfg": {"model": {"use_shortcuts": True}}}, "use_shortcuts"),
    ],
)
def test_wrong_files_are_refused_in_one_line(
    tensors: dict[str, Tensor], tmp_path: Path, spoil: Callable[[dict[str, Tensor]], Any], says: str
) -> None:
    path = tmp_path / "wrong.pt"
    torch.save(spoil(tensors), path)
    with pytest.raises(WeightsError, match=says) as caught:
        instantrestore.load(CPU, torch.float32, path)
    assert "\n" not in str(caught.value)


def test_says_what_to_install(tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    for build in (instantrestore.networks, lambda: METHOD.recognise(tensors)):
        with pytest.raises(WeightsError, match=r"pip install 'likeness\[diffusers\]'"):
            build()
    assert METHOD.recognise({"a": torch.ones(1)}) is None  # files of other methods are still told apart
