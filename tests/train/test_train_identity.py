"""Identity features for losses: the network and the chip are those of the recogniser that judges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from likeness.faces import DlibRecognizer
from likeness.train.identity import IdentityFeatures


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
