"""PMRF's posterior mean and flow against the numbers of the authors' code."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from likeness.methods.pmrf.network import NetworkConfig, PMRFNet, axial_positions
from likeness.methods.pmrf.restorer import follow, posterior_mean, recognise
from parity_fixture import TableFixture

pytestmark = pytest.mark.parity

TOLERANCE = {"pmrf_tiny": 1e-5, "pmrf_full": 1e-4}  # of max
TRAJECTORY = 1e-4  # each Euler step adds the rounding of its evaluation


class Recording(TableFixture):
    """Knows which goldens were compared."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.tolerance, self.seen = TOLERANCE[self.name], set[str]()

    def check(self, name: str, tensor: Tensor, floor: float | None = None) -> None:
        super().check(name, tensor, floor)
        self.seen.add(name)


def built(fixture: Recording) -> PMRFNet:
    """The network, its sizes read from the manifest's keys and shapes as from a file."""
    entries = fixture.entries("pmrf")
    net = recognise({e["key"]: torch.empty(e["shape"], device="meta") for e in entries})
    assert isinstance(net, PMRFNet)
    assert sum(p.numel() for p in net.parameters()) == fixture.manifest["models"]["pmrf"]["parameters"]
    if fixture.name == "pmrf_full":
        assert net.config == NetworkConfig()  # what is released
    fixture.fill(net, "pmrf")
    return net


@pytest.mark.parametrize("name", TOLERANCE)
@torch.inference_mode()
def test_parity(name: str) -> None:
    fixture = Recording(f"pmrf/{name}")
    net = built(fixture)
    size = {"pmrf_tiny": 64, "pmrf_full": 128}[name]
    y = fixture.picture(3, size, size) * 0.5 + 0.5
    for height, width in ((4, 6), (6, 6)):
        fixture.check(f"axial_pos_{height}x{width}", axial_positions(height, width))
    for layer in ("down_levels.0.0", "down_levels.1.0", "mid_level.0"):
        fixture.check(f"freqs/{layer}", net.model.get_buffer(f"{layer}.self_attn.pos_emb.freqs"))

    with fixture.checking_modules(net.model):
        fixture.check("flow_t0.0", net.model(y, torch.zeros(1)))
    fixture.check("flow_t0.52", net.model(y, torch.full((1,), 0.52)))
    if name == "pmrf_tiny":
        wide = fixture.picture(3, 64, 96) * 0.5 + 0.5
        fixture.check("flow_64x96_t0.4", net.model(wide, torch.full((1,), 0.4)))
    fixture.check("mmse", net.mmse_model(y))

    std, steps = fixture.manifest["source_noise_std"], fixture.manifest["flow_steps"]
    z0 = posterior_mean(net, y) + std * fixture.noise(9000, *y.shape)
    fixture.check("z0", z0)
    states: list[Tensor] = []
    net.model.register_forward_pre_hook(lambda _, given: states.append(given[0]))
    states.append(follow(net, z0, steps))
    for golden in fixture.names("traj_x"):
        fixture.check(f"traj_x{golden}", states[int(golden)], TRAJECTORY)
    fixture.check("xhat", states[-1].clamp(0, 1), TRAJECTORY)
    assert fixture.seen == set(fixture.manifest["golden"]["tensors"])
    fixture.done()
