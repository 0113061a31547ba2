"""RDFR's network against the equations of papers/003; its files, its seeds, its switches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.methods import OptionError, rdfr
from likeness.methods.one_pass import OnePassRestorer
from likeness.methods.rdfr.fusion import ConcatFusion, GatedFusion, window
from likeness.methods.rdfr.network import RDFR, Restored, Sizes, stylegan_widths
from likeness.methods.rdfr.quantise import Codebook
from likeness.methods.rdfr.restorer import draw_noises, read_sizes, recognise, restore, run
from likeness.nets.stylegan2 import EqualLinear
from likeness.nets.stylegan2_discriminator import StyleGAN2Discriminator, batch_deviation
from likeness.weights.errors import WeightsError

CPU, FLOAT = torch.device("cpu"), torch.float32
SMALL = Sizes(widths=(12, 12, 8, 8), style=16, mapping=2, skips=2, codes=7)  # 32 pixels
ROWS: dict[str, dict[str, Any]] = {  # of table 3
    "baseline": {"fusion": False, "quantise": False, "noise": False},
    "lgf": {"quantise": False, "noise": False},
    "quantise": {"noise": False},
    "noise": {},
}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(sizes: Sizes = SMALL) -> RDFR:
    """A network whose gates all say something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = RDFR(sizes)
        for fusion in net.fusions:
            if isinstance(fusion, GatedFusion):
                torch.nn.init.normal_(fusion.score, std=3)
        for gate in net.gates:
            assert isinstance(gate, EqualLinear)
            torch.nn.init.ones_(gate.bias)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net() -> RDFR:
    return made()


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return drawn(3, 3, 32, 32).clamp(-1, 1)


# Eq. 2 and 3: quantisation


def test_the_nearest_code_is_that_of_brute_force() -> None:
    book, p = Codebook(11, 5), drawn(2, 5, 3, 4)
    index = book.nearest(p)
    for b in range(2):
        for i in range(3):
            for j in range(4):
                distances = [(p[b, :, i, j] - code).norm().item() for code in book.codes]
                assert index[b, i, j] == min(range(11), key=distances.__getitem__)
    passed, chosen = book(p)
    assert torch.equal(chosen[1, :, 2, 3], book.codes[index[1, 2, 3]])
    torch.testing.assert_close(passed, chosen)


def test_the_gradient_goes_straight_through_and_to_no_code() -> None:
    book, p = Codebook(11, 5), drawn(2, 5, 3, 4).requires_grad_()
    weight = drawn(2, 5, 3, 4, seed=1)
    passed, chosen = book(p)
    (passed * weight).sum().backward()
    assert torch.equal(p.grad, weight)  # type: ignore[arg-type]
    assert not chosen.requires_grad
    assert not list(book.parameters())


def test_codes_are_the_closed_form_of_their_moving_averages() -> None:
    """c = sum_t w_t sum(p) / sum_t w_t n with w_t = (1 - decay) decay^(T - t), for one code that all choose."""
    book, decay = Codebook(1, 4), 0.8
    batches = [drawn(n, 4, 2, 2, seed=n) for n in (1, 3, 2)]
    for p in batches:
        book.move(*book.statistics(p), decay)
    weights = [(1 - decay) * decay**t for t in (2, 1, 0)]
    above = sum(w * p.sum(dim=(0, 2, 3)) for w, p in zip(weights, batches, strict=True))
    below = sum(w * len(p) * 4 for w, p in zip(weights, batches, strict=True))
    torch.testing.assert_close(book.codes[0], above / below)
    assert book.count.item() == pytest.approx(below)


def test_each_code_moves_to_those_that_choose_it() -> None:
    book = Codebook(2, 1)
    book.codes.copy_(torch.tensor([[-1.0], [1.0]]))
    p = torch.tensor([-3.0, -2.0, 0.5, 0.6]).view(1, 1, 2, 2)
    count, total = book.statistics(p)
    assert count.tolist() == [2, 2]
    assert total.flatten().tolist() == pytest.approx([-5, 1.1])
    book.move(count, total, 0.0)
    assert book.codes.flatten().tolist() == pytest.approx([-2.5, 0.55])
    book.move(*book.statistics(torch.full((1, 1, 2, 2), 0.7)), 0.0)
    assert book.codes.flatten().tolist() == pytest.approx([-2.5, 0.7])  # nobody chose the first: it stays


def test_replaced_codes_are_as_if_chosen_so_often() -> None:
    book = Codebook(3, 2)
    before = book.codes.clone()
    book.replace(torch.tensor([True, False, True]), torch.ones(3, 2) * 5, 4.0)
    assert torch.equal(book.codes[1], before[1])
    assert book.codes[0].tolist() == [5, 5]
    assert book.count.tolist() == [4, 0, 4]
    torch.testing.assert_close(book.total[2] / book.count[2], book.codes[2])


# Eq. 4: linear gated fusion


@pytest.mark.parametrize(("side", "r"), [(8, 1), (16, 1), (32, 1), (64, 2), (128, 4), (256, 8)])
def test_the_window_of_each_size(side: int, r: int) -> None:
    assert window(side) == r
    with torch.device("meta"):
        assert GatedFusion(side).score.shape == ((side // r) ** 2,) * 2


@pytest.mark.parametrize("side", [4, 64])
def test_fusion_is_eq_4_place_by_place(side: int) -> None:
    fusion = GatedFusion(side)
    places, r = (side // fusion.window) ** 2, fusion.window
    fusion.score.data = drawn(places, places)
    p, q = drawn(1, 2, side, side, seed=1), drawn(1, 2, side, side, seed=2)
    wanted = torch.empty_like(p)
    matrix = fusion.score.detach() * places**-0.5
    for c in range(2):
        both = (p + q)[0, c]
        cells = range(0, side, r)
        windows = torch.stack([both[i : i + r, j : j + r].mean() for i in cells for j in cells])
        scores = torch.stack([sum(windows[i] * matrix[i, j] for i in range(places)) for j in range(places)]) \
            if places <= 16 else (windows[:, None] * matrix).sum(0)  # fmt: skip
        for i in range(side):
            for j in range(side):
                s = 1 / (1 + (-scores[i // r * (side // r) + j // r]).exp())
                wanted[0, c, i, j] = s * both[i, j] + (1 - s) * q[0, c, i, j]
    with torch.no_grad():
        torch.testing.assert_close(fusion(p, q), wanted, rtol=0, atol=1e-5)
        gate = fusion.gate(p, q)
    assert 0 <= gate.min() < 0.2
    assert 0.8 < gate.max() <= 1


@pytest.mark.parametrize(("side", "sign"), [(8, 1), (8, -1), (64, 1), (64, -1)])
def test_a_closed_gate_leaves_q_and_an_open_one_gives_the_sum(side: int, sign: int) -> None:
    fusion = GatedFusion(side)
    torch.nn.init.constant_(fusion.score, sign * 1e3)
    p, q = drawn(2, 3, side, side, seed=1).abs(), drawn(2, 3, side, side, seed=2).abs()
    with torch.no_grad():
        assert torch.equal(fusion(p, q), p + q if sign > 0 else q)


def test_a_new_gate_is_half_open_and_learns() -> None:
    fusion = GatedFusion(8)
    p, q = drawn(2, 3, 8, 8, seed=1), drawn(2, 3, 8, 8, seed=2)
    torch.testing.assert_close(fusion(p, q), q + p / 2)
    fusion(p, q).square().sum().backward()
    assert fusion.score.grad is not None
    assert fusion.score.grad.abs().min() > 0


# Eq. 5 and 6: noise


def test_without_noise_the_face_is_always_the_same(net: RDFR, faces: Tensor) -> None:
    still, zero = net(faces), net(faces, [torch.zeros(3, *shape) for shape in net.noise_shapes])
    assert torch.equal(still, zero)
    assert torch.equal(run(net, faces, {"noise": 0.0}, 1), run(net, faces, {"noise": 0.0}, 2))
    torch.testing.assert_close(still, run(net, faces, {"noise": 0.0}, 1))
    noisy = run(net, faces, {"noise": 1.0}, 1)
    assert (noisy - still).abs().max() > 0.05
    assert (noisy - run(net, faces, {"noise": 1.0}, 2)).abs().max() > 0.05
    half = run(net, faces, {"noise": 0.5}, 1)
    assert 0 < (half - still).square().mean() < (noisy - still).square().mean()


def test_closed_gates_let_no_noise_into_the_skip_connections(faces: Tensor) -> None:
    net = made()
    noises = draw_noises(net, 3, 3)
    only_skips = [torch.zeros_like(noises[0]), *noises[1:]]
    assert (net(faces, only_skips) - net(faces)).abs().max() > 0.05
    for gate in net.gates:
        assert isinstance(gate, EqualLinear)
        torch.nn.init.zeros_(gate.weight)
        torch.nn.init.constant_(gate.bias, -1e9)
    assert torch.equal(net(faces, only_skips), net(faces))
    assert (net(faces, noises) - net(faces)).abs().max() > 1e-3  # the decoder's noise stays


def test_the_noise_is_added_under_the_gate_of_z(faces: Tensor) -> None:
    """p^q + sigmoid(linear(z)) * eps is what the fusion is given."""
    net, seen = made(), []
    handle = net.fusions[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    noises = draw_noises(net, 3, 3)
    answer = net(faces, noises, with_features=True)
    handle.remove()
    assert isinstance(answer, Restored)
    _, z, features = net.encoder(faces)
    assert all(torch.equal(a, b) for a, b in zip(features, answer.features, strict=True))
    linear = net.gates[1]
    assert isinstance(linear, EqualLinear)
    gate = torch.sigmoid(F.linear(z, linear.weight / 16**0.5, linear.bias))
    torch.testing.assert_close(seen[0], answer.quantised[1] + gate[:, :, None, None] * noises[2])
    assert answer.quantised[1].shape == (3, 8, 16, 16)


# What users meet


def restorer(net: RDFR) -> OnePassRestorer:
    return OnePassRestorer(rdfr.method(), net, CPU, FLOAT, "abc")


@pytest.fixture(scope="module")
def crops() -> Tensor:
    small = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return F.interpolate(small, size=(512, 512), mode="bicubic").clamp(0, 1)


def test_same_seed_same_pixels_whatever_the_batch(net: RDFR, crops: Tensor) -> None:
    own = restorer(net)
    both = own.restore(crops, seed=5)
    assert both.shape == crops.shape
    assert 0 <= both.min() <= both.max() <= 1
    assert torch.equal(both, own.restore(crops, seed=5))
    for row in range(2):
        alone = own.restore(crops[row : row + 1], seed=5)
        torch.testing.assert_close(both[row : row + 1], alone, rtol=0, atol=1e-4)
    assert (both - own.restore(crops, seed=6)).abs().max() > 0.02
    assert rdfr.CARD.stochastic


def test_a_smaller_network_is_given_a_smaller_face(net: RDFR, crops: Tensor) -> None:
    x = crops * 2 - 1
    wanted = net(F.avg_pool2d(x, 16), draw_noises(net, 0, 2))
    got = restore(net, x, draw_noises(net, 0, 2))
    torch.testing.assert_close(got, F.interpolate(wanted, size=(512, 512), mode="bicubic"), rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [{"noise": -0.1}, {"noise": 1.1}, {"fidelity": 0.5}])
def test_options_out_of_range_are_refused(net: RDFR, crops: Tensor, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        restorer(net).restore(crops, **options)


def test_other_backends_are_given_one_call(net: RDFR) -> None:
    (part,) = restorer(net).parts()
    assert part.module(*part.arguments).shape == (1, 3, 32, 32)


# Networks and files


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_table_3_is_known_by_its_keys(row: str, faces: Tensor) -> None:
    sizes = replace(SMALL, **ROWS[row])
    net = made(sizes)
    found = recognise(net.state_dict())
    assert found is not None
    assert {k: v.shape for k, v in found.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}
    read = read_sizes(net.state_dict())
    assert read is not None
    assert (read.fusion, read.quantise, read.noise) == (sizes.fusion, sizes.quantise, sizes.noise)
    assert isinstance(net.fusions[0], GatedFusion if sizes.fusion else ConcatFusion)
    found.load_state_dict(net.state_dict())
    assert torch.equal(run(found.eval(), faces, {"noise": 1.0}, 1), run(net, faces, {"noise": 1.0}, 1))


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(),
        Sizes(skips=6),
        Sizes(widths=stylegan_widths(64, 96, 0.5), style=24, mapping=3, skips=1, codes=9),
        Sizes(widths=stylegan_widths(128, 64), skips=4),
    ],
)
def test_sizes_are_read_from_keys_and_shapes(sizes: Sizes) -> None:
    with torch.device("meta"):
        assert read_sizes(RDFR(sizes).state_dict()) == sizes


def test_other_methods_are_not_ours() -> None:
    assert recognise({}) is None
    state = made().state_dict()
    assert recognise({k: v for k, v in state.items() if not k.startswith("fusions")}) is None
    assert recognise({k: v for k, v in state.items() if k != "encoder.latent.weight"}) is None


def test_the_network_of_the_paper_s_size() -> None:
    with torch.device("meta"):
        net = rdfr.networks()["unet"]
    assert isinstance(net, RDFR)
    assert net.size == 512
    assert net.sizes.sides == [8, 16, 32, 64]
    assert [net.get_parameter(f"fusions.{i}.score").shape[0] for i in range(4)] == [64, 256, 1024, 1024]
    assert sum(p.numel() for p in net.parameters()) == 67_051_032
    for skips in (0, 7):
        with pytest.raises(ValueError, match="has 1 to 6 skip connections"):
            Sizes(skips=skips)


def test_files(net: RDFR, crops: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    torch.save({**net.state_dict(), "config": {"more": 1}}, path)
    loaded = rdfr.load(CPU, FLOAT, path)
    assert torch.equal(loaded.restore(crops[:1]), restorer(net).restore(crops[:1]))
    torch.save({k: v for k, v in net.state_dict().items() if k != "gates.1.weight"}, path)
    with pytest.raises(WeightsError, match=r"missing gates\.1\.weight"):
        rdfr.load(CPU, FLOAT, path)
    torch.save({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(WeightsError, match="holds no weights of rdfr"):
        rdfr.load(CPU, FLOAT, path)
    with pytest.raises(WeightsError, match="no weights of rdfr are published: train it"):
        rdfr.load(CPU, FLOAT)


# The discriminator


def test_the_discriminator_s_keys_and_sizes() -> None:
    with torch.device("meta"):
        state = StyleGAN2Discriminator().state_dict()
    assert len([key for key in state if key.startswith("convs.")]) == 2 + 7 * 7
    assert state["convs.0.0.weight"].shape == (64, 3, 1, 1)
    assert state["convs.7.conv2.1.weight"].shape == (512, 512, 3, 3)
    assert state["convs.1.skip.1.weight"].shape == (128, 64, 1, 1)
    assert state["final_conv.0.weight"].shape == (512, 513, 3, 3)
    assert state["final_linear.0.weight"].shape == (512, 8192)
    with torch.device("meta"):
        other = StyleGAN2Discriminator(body="conv_body", stored_kernel=False).state_dict()
    assert set(other) == {k.replace("convs.", "conv_body.", 1) for k in state if not k.endswith("kernel")}


def test_the_deviation_within_the_batch() -> None:
    x = drawn(4, 3, 2, 2)
    whole = batch_deviation(x, 4)
    assert whole.shape == (4, 1, 2, 2)
    torch.testing.assert_close(whole[0, 0, 0, 0], x.std(0, correction=0).mean(), rtol=0, atol=1e-6)
    pairs = batch_deviation(x, 2)  # the first and third, the second and fourth
    torch.testing.assert_close(pairs[2, 0, 1, 1], x[::2].std(0, correction=0).mean(), rtol=0, atol=1e-6)
    assert torch.equal(batch_deviation(x[:3], 4)[0], batch_deviation(x[:3], 3)[0])
    assert batch_deviation(x, 1).max() < 2e-4
