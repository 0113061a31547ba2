"""Identity features for losses: the network and the chip are those of the recogniser that judges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likeness.faces import DlibRecognizer
from likeness.train.draws import Draws
from likeness.train.identity import IdentityFeatures, small_motions


@pytest.fixture(scope="module")
def identity() -> IdentityFeatures:
    return IdentityFeatures()


def test_embedding_is_near_the_recognisers(identity: IdentityFeatures, faces: dict[str, np.ndarray]) -> None:
    crops = np.stack([faces["a_head.png"], faces["b_dark.png"]]).astype(np.float32) / np.float32(255)
    frames = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()) * 2 - 1
    got = identity(frames)[-1].numpy()
    want = DlibRecognizer().embed(crops)
    apart = np.linalg.norm(want[0] - want[1])
    assert apart > 0.15
    assert np.linalg.norm(got - want, axis=1).max() < 0.06  # the chip is sampled a little otherwise


def test_features_are_frozen_and_let_gradients_through(
    identity: IdentityFeatures, faces: dict[str, np.ndarray]
) -> None:
    frame = torch.from_numpy(faces["a_head.png"].transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1)
    frame.requires_grad_(True)
    features = identity(frame)
    assert [f.shape[1] for f in features] == [128, 256, 256, 128]
    features[-1].sum().backward()
    assert frame.grad is not None
    assert torch.isfinite(frame.grad).all()
    assert frame.grad[..., 200:400, 150:350].abs().sum() > 0
    assert not any(p.requires_grad for p in identity.parameters())
    assert not identity.training


def test_a_moved_cut_is_the_cut_of_a_moved_face(identity: IdentityFeatures, faces: dict[str, np.ndarray]) -> None:
    frame = torch.from_numpy(faces["a_head.png"].transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1)
    mirror = torch.tensor([[[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    assert torch.allclose(identity(frame, mirror)[-1], identity(frame.flip(3))[-1], atol=1e-4)
    shift = torch.tensor([[[1.0, 0.0, 2 * 8 / 512], [0.0, 1.0, 0.0]]])  # the cut goes right, so the face goes left
    assert torch.allclose(identity(frame, shift)[-1], identity(frame.roll(-8, dims=3))[-1], atol=1e-2)
    assert (identity(frame, shift)[-1] - identity(frame.roll(8, dims=3))[-1]).norm() > 0.03


def test_motions_are_small_mirrored_by_half_and_of_the_step() -> None:
    motions = small_motions(Draws(1, 5), 400)
    assert torch.equal(motions, small_motions(Draws(1, 5), 400))
    assert not torch.equal(motions, small_motions(Draws(1, 6), 400))
    signs = torch.linalg.det(motions[:, :, :2]).sign()
    assert 0.4 < (signs < 0).float().mean() < 0.6
    turns = torch.atan2(motions[:, 1, 0] * signs, motions[:, 0, 0] * signs)
    assert 0.05 < turns.std() < 0.09
    assert 0.02 < motions[:, :, 2].std() < 0.04
    still = small_motions(Draws(1, 5), 8, amount=0.0)
    assert torch.equal(still[:, :, :2].abs(), torch.eye(2).expand(8, 2, 2))
    assert torch.equal(still[:, :, 2], torch.zeros(8, 2))
