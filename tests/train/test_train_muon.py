"""Muon: directions of one length for matrices, AdamW for the rest."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from likeness.train.muon import ADAMW_SIZE, Muon, orthogonal


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(48, 48), (24, 200), (200, 24)], ids=["square", "wide", "tall"])
def test_directions_stay_and_lengths_become_one(shape: tuple[int, int]) -> None:
    matrix = normal(*shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonal(matrix) @ v.T  # in the matrix's own directions
    lengths = inside.diagonal()
    assert lengths.quantile(0.05) > 0.5
    assert lengths.max() < 1.35
    assert (inside - lengths.diag()).abs().max() < 0.12  # bfloat16


def test_a_step_is_as_large_as_one_of_adamw() -> None:
    weight = nn.Parameter(torch.zeros(64, 256))
    weight.grad = normal(64, 256) * 1e-4  # whatever the gradient's size
    Muon([weight], lr=0.01).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.01 * ADAMW_SIZE, rel=0.2)
    assert (weight * weight.grad).sum() < 0


def test_a_convolution_is_a_matrix() -> None:
    flat, conv = nn.Parameter(normal(8, 36)), nn.Parameter(normal(8, 36).view(8, 4, 3, 3))
    for parameter in (flat, conv):
        optimiser = Muon([parameter], lr=0.1, weight_decay=0.1)
        for step in range(3):
            parameter.grad = normal(8, 36, seed=step).view_as(parameter)
            optimiser.step()
    assert torch.equal(conv.flatten(1), flat)


def test_the_rest_goes_as_by_adamw() -> None:
    ours, theirs = nn.Parameter(normal(16)), nn.Parameter(normal(16))
    pairs = [
        (ours, Muon([ours], lr=0.02, weight_decay=0.1)),
        (theirs, torch.optim.AdamW([theirs], lr=0.02, betas=(0.9, 0.99), weight_decay=0.1)),
    ]
    for step in range(6):
        for parameter, optimiser in pairs:
            parameter.grad = normal(16, seed=step)
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_what_has_no_gradient_stays() -> None:
    trained, other = nn.Parameter(normal(4, 4)), nn.Parameter(normal(4, 4))
    trained.grad = normal(4, 4, seed=1)
    Muon([trained, other], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(other, normal(4, 4))
    assert not torch.equal(trained, normal(4, 4))


def test_it_learns_and_goes_on_from_its_state() -> None:
    inputs, wanted = normal(64, 12), normal(64, 12) @ normal(12, 6, seed=3)
    net = nn.Linear(12, 6)
    optimiser = Muon(net.parameters(), lr=0.1)
    assert [len(group["params"]) for group in optimiser.param_groups] == [1, 1]

    def steps(net: nn.Module, optimiser: torch.optim.Optimizer, count: int) -> float:
        for _ in range(count):
            loss = (net(inputs) - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return loss.item()

    first = steps(net, optimiser, 1)
    assert steps(net, optimiser, 60) < 0.05 * first
    again = copy.deepcopy(net)
    other = Muon(again.parameters(), lr=0.1)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    assert steps(net, optimiser, 5) == steps(again, other, 5)
