"""Angles between identities, and the pictures that the identity networks are fed, against OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from likeness.faces.geometry import similarity_transform
from likeness.faces.template import FFHQ_TEMPLATE
from likeness.measure import identity


def test_angles_by_hand() -> None:
    a = torch.tensor([[2.0, 0], [1, 0], [1, 0], [3, 3], [0.1, 0.2]])
    b = torch.tensor([[0.0, 5], [1, 1], [-4, 0], [1, 1], [0.2, 0.4]])
    cosine = [0, math.sqrt(0.5), -1, 1, 1]
    assert identity.cosine_similarity(a, b).tolist() == pytest.approx(cosine, abs=1e-7)
    assert identity.cosine_distance(a, b).tolist() == pytest.approx([1 - c for c in cosine], abs=1e-7)
    assert identity.identity_angle(a, b).tolist() == pytest.approx([90, 45, 180, 0, 0], abs=1e-4)


def test_deg_leaves_out_pairs_below_one_degree() -> None:
    turned = torch.deg2rad(torch.tensor([0.0, 0.99, 1.01, 30, 50], dtype=torch.float64))
    a = torch.stack([torch.cos(turned), torch.sin(turned)], dim=1)
    b = torch.tensor([[1.0, 0]]).double().expand(5, 2)
    got = identity.deg(a, b)
    assert got.identical == 2
    assert got.mean == pytest.approx((1.01 + 30 + 50) / 3, abs=1e-9)
    nobody = identity.deg(b, b)
    assert math.isnan(nobody.mean)
    assert nobody.identical == 5


def test_embeddings_that_do_not_fit_are_refused() -> None:
    for metric in (identity.cosine_similarity, identity.cosine_distance, identity.identity_angle, identity.deg):
        with pytest.raises(ValueError, match=r"\(2, 8\) and \(2, 9\)"):
            metric(torch.zeros(2, 8), torch.zeros(2, 9))


def picture(seed: int = 0) -> np.ndarray:
    """(512, 512, 3) uint8, somewhat smooth."""
    small = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1)[None] / 255


def test_deg_input_is_what_opencv_reads_and_resizes() -> None:
    image = picture()
    png = cv2.imencode(".png", image[..., ::-1])[1]
    gray = cv2.resize(cv2.imdecode(png, cv2.IMREAD_GRAYSCALE), (128, 128))
    got = identity.deg_input(tensor(image))
    assert got.shape == (1, 1, 128, 128)
    assert np.array_equal((got[0, 0] * 127.5 + 127.5).round().int().numpy(), gray)
    assert got[0, 0].numpy() == pytest.approx((gray.astype(np.float32) - 127.5) / 127.5, abs=1e-6)


def test_arcface_input_is_opencvs_warp() -> None:
    image = picture(1)
    turned = cv2.getRotationMatrix2D((200, 240), 25, 1.3) @ np.vstack([FFHQ_TEMPLATE.T, np.ones(5)])
    points = [FFHQ_TEMPLATE, turned.T, FFHQ_TEMPLATE * 1.4]  # the last leaves the picture
    transforms = np.stack([similarity_transform(p, identity.arcface_template().numpy()) for p in points])
    got = identity.arcface_input(tensor(image).expand(3, -1, -1, -1), torch.from_numpy(transforms))
    assert got.shape == (3, 3, 112, 112)
    for chip, transform in zip(got, transforms, strict=True):
        want = cv2.warpAffine(image.astype(np.float32), transform, (112, 112), flags=cv2.INTER_LINEAR, borderValue=0)
        ours = ((chip + 1) * 127.5).permute(1, 2, 0).numpy()
        # OpenCV's warp knows places to 1/32 pixel only: a mean of a fraction of a level, more at the picture's edge.
        assert np.abs(ours - want).mean() < 0.25
        assert np.quantile(np.abs(ours - want), 0.99) < 2.5
    assert float((got[2, :, -1, -1] + 1).abs().max()) == 0


def test_arcface_template_of_other_sizes() -> None:
    small, large = identity.arcface_template(112), identity.arcface_template(256)
    assert large.tolist() == pytest.approx((small * 2 + torch.tensor([16.0, 0])).numpy())
    for size in (100, 64, 224, 0):
        with pytest.raises(ValueError, match="multiple of 128"):
            identity.arcface_template(size)


def test_arcface_input_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(B, 2, 3\)"):
        identity.arcface_input(torch.zeros(2, 3, 64, 64), torch.zeros(1, 2, 3))
