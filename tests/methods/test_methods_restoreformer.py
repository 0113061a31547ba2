"""RestoreFormer and RestoreFormer++: batches, telling them apart, and reading released files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from likeness.methods import restoreformer, restoreformer_plusplus
from likeness.methods.one_pass import OnePass
from likeness.nets.restoreformer import MultiHeadAttentionBlock, RestoreFormerConfig, RestoreFormerNet, read_config
from parity_fixture import fill

PLAIN = RestoreFormerConfig(widths=(32, 64, 64), blocks=1, heads=8, codes=40, code_dim=32)
PLUS = RestoreFormerConfig(widths=(32, 64, 64), blocks=1, heads=4, asking=2, codes=40, code_dim=32)
BOTH = pytest.mark.parametrize(
    ("module", "config"), [(restoreformer, PLAIN), (restoreformer_plusplus, PLUS)], ids=["plain", "plusplus"]
)


def filled(net: nn.Module) -> nn.Module:
    net.load_state_dict({key: fill(key, list(v.shape), 1.0, []) for key, v in net.state_dict().items()})
    return net.eval()


def run(method: OnePass, net: nn.Module, x: Tensor, seed: int = 0) -> Tensor:
    with torch.inference_mode():
        return method.run(net, x, {}, seed)


@BOTH
def test_a_batch_gives_what_each_picture_gives_alone(module: ModuleType, config: RestoreFormerConfig) -> None:
    net, method = filled(RestoreFormerNet(config)), module.method()
    torch.manual_seed(1)
    x = torch.rand(2, 3, 32, 24) * 2 - 1
    together = run(method, net, x)
    for index in range(2):
        alone = run(method, net, x[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=2e-5)
    assert (together[0] - together[1]).abs().max() > 0.1
    assert torch.equal(together, run(method, net, x, seed=5))
    with torch.autocast("cpu", torch.bfloat16):
        assert run(method, net, x).isfinite().all()


@BOTH
def test_every_asking_map_matters(module: ModuleType, config: RestoreFormerConfig) -> None:
    net = filled(RestoreFormerNet(config))
    assert isinstance(net, RestoreFormerNet)
    with torch.inference_mode():
        index, asks = net.encode(torch.rand(1, 3, 32, 32) * 2 - 1)
        face = net.decode(index, asks)
        assert len(asks) == config.asking + 1
        for name, asked in asks.items():
            # not just negated or scaled, which softly asks the same
            changed = net.decode(index, {**asks, name: asked.roll(1, dims=1)})
            assert (changed - face).abs().max() > 1e-4, name


def test_the_query_comes_from_the_second_map() -> None:
    torch.manual_seed(0)
    block = MultiHeadAttentionBlock(64, 4)  # two channels for each group of the norm: their means are not zero
    x, y = torch.randn(2, 1, 64, 3, 3)
    alone, asked = block(x), block(x, y)
    nn.init.zeros_(block.q.weight)
    nn.init.zeros_(block.q.bias)
    uniform = block(x, y)  # without a query each place gets the mean of all values, of the first map
    mean = block.proj_out(block.v(block.norm1(x)).mean((2, 3), keepdim=True).expand_as(x))
    torch.testing.assert_close(uniform, x + mean)
    assert (alone - asked).abs().max() > 1e-3
    assert (asked - uniform).abs().max() > 1e-3


def test_each_recognises_only_its_own() -> None:
    plain, plus = (RestoreFormerNet(config).state_dict() for config in (PLAIN, PLUS))
    found, found_plus = restoreformer.method().recognise(plain), restoreformer_plusplus.method().recognise(plus)
    assert isinstance(found, RestoreFormerNet)
    assert isinstance(found_plus, RestoreFormerNet)
    assert (found.config, found_plus.config) == (PLAIN, PLUS)
    assert restoreformer.method().recognise(plus) is None
    assert restoreformer_plusplus.method().recognise(plain) is None
    assert restoreformer.method().recognise({}) is None


def test_the_released_sizes_are_recognised() -> None:
    for module, heads, asking in ((restoreformer, 8, 1), (restoreformer_plusplus, 4, 2)):
        wanted = RestoreFormerConfig(heads=heads, asking=asking)
        with torch.device("meta"):
            net = module.networks()["net"]
        assert read_config(net.state_dict(), heads) == wanted


def test_unpacks_both_nestings() -> None:
    unpack = restoreformer.method().unpack
    tensors = {"encoder.weight": torch.ones(2)}
    lightning = {"vqvae.encoder.weight": tensors["encoder.weight"], "loss.vqvae.weight": torch.zeros(1), "epoch": 3}
    for held in ({"state_dict": lightning}, {"params_ema": tensors}, {"params": tensors}, tensors, lightning):
        assert dict(unpack(held)) == tensors
    assert dict(unpack({"state_dict": 3, **tensors})) == tensors


@BOTH
def test_loads_a_released_file(module: ModuleType, config: RestoreFormerConfig, tmp_path: Path) -> None:
    net, path = filled(RestoreFormerNet(config)), tmp_path / "released.ckpt"
    torch.save({"state_dict": {f"vqvae.{key}": v for key, v in net.state_dict().items()}, "global_step": 1}, path)
    restorer = module.load(torch.device("cpu"), torch.float32, path)
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(run(restorer.method, restorer.net, x), run(module.method(), net, x))
    assert restorer.card is module.CARD
    assert module.CARD.options == ()
