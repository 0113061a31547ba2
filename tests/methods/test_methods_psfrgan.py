"""PSFRGAN on small networks: what it is given, how it is recognised, and loading its two files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from likeness.methods import OptionError, psfrgan
from likeness.methods.psfrgan import restorer
from likeness.methods.psfrgan.network import PSFRGenerator
from likeness.methods.psfrgan.restorer import PSFRGAN
from likeness.nets.parsenet import ParseNet
from likeness.nets.spectral import fold_spectral_norm, power_iteration
from likeness.weights.load import WeightsError

CLASSES = 5


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small_generator(size: int = 32) -> PSFRGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = PSFRGenerator((6, 4), size // 2, CLASSES)
        torch.nn.init.normal_(net.const_input)
        power_iteration(net, 10)
    return net


def small_parser() -> ParseNet:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ParseNet(base=4, depth=1, limits=(4, 4), classes=CLASSES)


@pytest.fixture(scope="module")
def net() -> PSFRGAN:
    return PSFRGAN(small_generator(), small_parser()).eval().requires_grad_(False)


def test_keys_are_those_of_the_release() -> None:
    state = psfrgan.networks()["net"].state_dict()
    lines = sorted(f"{k} {list(v.shape)} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "63011865a313e2f3"


def test_faces_of_a_batch_do_not_mix(net: PSFRGAN) -> None:
    run, x = psfrgan.method().run, rand(2, 3, 32, 32)
    both = run(net, x, {}, 0)
    assert both.shape == (2, 3, 32, 32)
    assert (both[0] - both[1]).abs().max() > 1e-3
    for i in range(2):
        assert torch.allclose(run(net, x[i : i + 1], {}, 0)[0], both[i], atol=1e-5)
    assert torch.equal(run(net, x, {}, 0), both)
    assert torch.equal(run(net, x, {}, 7), both)  # nothing is drawn


def test_the_photo_and_its_parse_map_both_guide(net: PSFRGAN) -> None:
    x = rand(1, 3, 32, 32)
    parse = net.parse(x)
    out = net.generator(x, parse)
    assert (net.generator(-x, parse) - out).abs().max() > 1e-3
    assert (net.generator(x, parse.roll(1, dims=1)) - out).abs().max() > 1e-3


def test_parse_map_marks_the_largest_and_ties() -> None:
    net, x = PSFRGAN(small_generator(), small_parser()).eval().requires_grad_(False), rand(1, 3, 32, 32)
    bias = net.parser.out_mask_conv.conv2d.bias
    assert bias is not None
    bias -= net.parser(x)[0].mean(dim=(0, 2, 3))  # so that every class has its pixels
    parse = net.parse(x)
    assert torch.equal(parse.argmax(dim=1), net.parser(x)[0].argmax(dim=1))
    assert (parse.sum(dim=1) == 1).all()
    assert (parse.sum(dim=(0, 2, 3)) > 10).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net.parse(x), parse)  # bfloat16 would move borders and make ties
    for parameter in net.parser.out_mask_conv.parameters():
        torch.nn.init.zeros_(parameter)
    assert (net.parse(x) == 1).all()


def test_folding_changes_nothing() -> None:
    net, x = small_generator().eval(), rand(1, 3, 32, 32)
    parse = torch.nn.functional.one_hot(torch.arange(32 * 32).view(1, 32, 32) % CLASSES).movedim(3, 1).float()
    before = net(x, parse)
    fold_spectral_norm(net)
    assert not any("weight_orig" in key for key in net.state_dict())
    assert torch.allclose(net(x, parse), before, atol=1e-6)


def test_recognise_reads_the_configuration() -> None:
    recognise = psfrgan.method().recognise
    given = PSFRGenerator((8, 6, 4), 4, classes=5).state_dict()
    net = recognise(given)
    assert isinstance(net, PSFRGenerator)
    assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in given.items()}
    assert recognise(small_parser().state_dict()) is None
    assert recognise({}) is None


def test_unpack_keeps_tensors_only() -> None:
    unpack, tensor = psfrgan.method().unpack, torch.zeros(2)
    assert unpack({"a": tensor, "epoch": 15, "b": tensor}) == {"a": tensor, "b": tensor}


def test_load_takes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restorer, "ParseNet", small_parser)
    generator, parser = small_generator(512), small_parser()
    weights = tmp_path / "mine.pth"
    torch.save(generator.state_dict(), weights)
    load = (torch.device("cpu"), torch.float32, weights)
    with pytest.raises(WeightsError, match=rf"expected .*{tmp_path.name}/parse_multi_iter_90000\.pth"):
        psfrgan.load(*load)
    torch.save(parser.state_dict(), tmp_path / "parse_multi_iter_90000.pth")
    loaded = psfrgan.load(*load)
    assert not any("weight_orig" in key for key in loaded.net.state_dict())
    with pytest.raises(OptionError, match="psfrgan has no option fidelity"):
        loaded.restore(torch.zeros(1, 3, 512, 512), fidelity=0.5)
    crops = (rand(1, 3, 512, 512) + 1) / 2
    with torch.inference_mode():
        wanted = PSFRGAN(generator, parser).eval()(crops * 2 - 1).clamp(-1, 1)
    assert torch.allclose(loaded.restore(crops), (wanted + 1) / 2, atol=1e-4)

    (tmp_path / "parse_multi_iter_90000.pth").rename(tmp_path / "parsing_parsenet.pth")
    assert psfrgan.load(*load).fingerprint == loaded.fingerprint
    torch.save({k: v + 1 for k, v in parser.state_dict().items()}, tmp_path / "parsing_parsenet.pth")
    assert psfrgan.load(*load).fingerprint != loaded.fingerprint


def test_load_refuses_another_file(tmp_path: Path) -> None:
    path = tmp_path / "parse_multi_iter_90000.pth"
    torch.save(small_parser().state_dict(), path)
    with pytest.raises(WeightsError, match="holds no weights of psfrgan"):
        psfrgan.load(torch.device("cpu"), torch.float32, path)
