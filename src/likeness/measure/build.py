"""From a metric's name to the metric, with its weights loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from likeness.measure import fidelity, frechet, identity, kernel, landmarks, manifold
from likeness.measure.cards import metric_card
from likeness.measure.metric import EmbeddingMetric, Extractor, Metric, PictureMetric, SetMetric
from likeness.weights.errors import WeightsError

if TYPE_CHECKING:
    from likeness.measure.metric import MetricCard

KID_SUBSET = 1000
Find = Callable[[str], Extractor]


def build(name: str, find: Find, device: torch.device | str = "cpu") -> Metric:
    """The metric called ``name``; ``find`` gives the extractors, by name.

    Raises ValueError for an unknown name, WeightsError that says what to type when its weights are not here.
    """
    card = metric_card(name)
    if name in _PIXELS:
        return PictureMetric(card, _PIXELS[name])
    if name in _LOADED:
        return _LOADED[name](card, device)
    if name in _PAIRS:
        extractor, function = _PAIRS[name]
        return EmbeddingMetric(card, find(extractor), function, _share if name == "sharpness" else None)
    if name in _SETS:
        extractor, of_set, paired = _SETS[name]
        return SetMetric(card, find(extractor), of_set, paired)
    raise ValueError(f"{name} is not measured on its own")


def _truth(truth: Tensor | None) -> Tensor:
    if truth is None:
        raise ValueError("this metric needs the truth")
    return truth


def _niqe(card: MetricCard, device: torch.device | str) -> Metric:
    from likeness.measure.niqe import NiqeModel, builtin_model, niqe
    from likeness.weights.store import locate

    model = NiqeModel.read(locate(card.weights[0])) if card.weights else builtin_model()

    def function(pictures: Tensor, _: Tensor | None) -> Tensor:
        values = [niqe(picture.permute(1, 2, 0).cpu().numpy(), model) for picture in pictures]
        return torch.tensor(values, dtype=torch.float64)

    return PictureMetric(card, function, _fingerprint(model.mean, model.covariance))


def _fingerprint(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def _lpips(card: MetricCard, device: torch.device | str) -> Metric:
    from likeness.measure.perceptual import lpips_distance
    from likeness.measure.released import lpips_tensors, recognise_lpips
    from likeness.nets.lpips import LPIPS

    tensors, version = _joined(card, lpips_tensors)
    net = recognise_lpips(tensors) or LPIPS()
    net.load_state_dict(tensors)
    net = net.eval().requires_grad_(False).to(device)
    return PictureMetric(card, lambda a, b: lpips_distance(net, a.to(device), _truth(b).to(device)), version)


def _dists(card: MetricCard, device: torch.device | str) -> Metric:
    from likeness.measure.dists import dists_distance, dists_tensors
    from likeness.nets.dists import DISTS

    tensors, version = _joined(card, dists_tensors)
    net = DISTS()
    net.load_state_dict(tensors)
    net = net.eval().requires_grad_(False).to(device)
    return PictureMetric(card, lambda a, b: dists_distance(net, a.to(device), _truth(b).to(device)), version)


def _joined(
    card: MetricCard, join: Callable[[dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor] | None]
) -> tuple[dict[str, Tensor], str]:
    """The tensors out of the metric's own file and its trunk's, and what both files are."""
    from likeness.measure.released import unpack
    from likeness.weights.checkpoint import read_checkpoint
    from likeness.weights.digest import fingerprint
    from likeness.weights.store import locate

    own, trunk = (locate(entry) for entry in card.weights)
    tensors = join(unpack(read_checkpoint(trunk)), unpack(read_checkpoint(own)))
    if tensors is None:
        raise WeightsError(f"{own} and {trunk} do not make {card.title}")
    return tensors, f"{fingerprint(own)} {fingerprint(trunk)}"


def _nima(card: MetricCard, device: torch.device | str) -> Metric:
    from likeness.measure.nima import nima_ratings
    from likeness.nets.nima import NIMA
    from likeness.weights.checkpoint import fill_strict, read_checkpoint
    from likeness.weights.digest import fingerprint
    from likeness.weights.store import locate

    path = locate(card.weights[0])
    net = NIMA()
    fill_strict(net, read_checkpoint(path), str(path))
    net = net.eval().requires_grad_(False).to(device)
    return PictureMetric(card, lambda a, _: nima_ratings(net, a.to(device)).score, fingerprint(path))


def _share(restored: Tensor, truth: Tensor) -> float:
    return float(restored.sum() / truth.sum())


def _lmd(restored: Tensor, truth: Tensor) -> Tensor:
    return landmarks.landmark_distance(restored.view(len(restored), -1, 2), truth.view(len(truth), -1, 2))


def _deg(restored: Tensor, truth: Tensor) -> Tensor:
    angles = identity.identity_angle(restored, truth)
    return torch.where(angles < identity.IDENTICAL, torch.inf, angles)


def _fid(restored: Tensor, reference: Tensor) -> float:
    return frechet.frechet_distance(*frechet.feature_statistics(restored), *frechet.feature_statistics(reference))


def _kid(restored: Tensor, reference: Tensor) -> float:
    return kernel.kernel_distance(reference, restored, subset_size=KID_SUBSET).mean


_PIXELS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "psnr": lambda a, b: fidelity.psnr(a, _truth(b)),
    "ssim": lambda a, b: fidelity.ssim(a, _truth(b)),
    "ms-ssim": lambda a, b: fidelity.ms_ssim(a, _truth(b)),
    "psnr-y": lambda a, b: fidelity.psnr(a, _truth(b), y_channel=True),
    "ssim-y": lambda a, b: fidelity.ssim(a, _truth(b), y_channel=True),
}
_LOADED: dict[str, Callable[[MetricCard, torch.device | str], Metric]] = {
    "lpips-alex": _lpips,
    "lpips-vgg": _lpips,
    "dists": _dists,
    "niqe": _niqe,
    "niqe-faces": _niqe,
    "nima": _nima,
}
_PAIRS: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "identity-distance": ("recognizer", lambda a, b: (a - b).norm(dim=1)),
    "identity-cosine": ("recognizer", identity.cosine_similarity),
    "arcface-cosine": ("arcface", identity.cosine_similarity),
    "adaface-cosine": ("adaface", identity.cosine_similarity),
    "deg": ("deg", _deg),
    "lmd": ("fan", _lmd),
    "landmarks": ("five-points", _lmd),
    "sharpness": ("gradient-energy", lambda a, b: (a / b).squeeze(1)),
}
_SETS: dict[str, tuple[str, Callable[[Tensor, Tensor], float], bool]] = {
    "fid": ("inception", _fid, False),
    "fid-torch-fidelity": ("inception-torch-fidelity", _fid, False),
    "fid-basicsr": ("inception-basicsr", _fid, False),
    "kid": ("inception", _kid, False),
    "precision": ("inception", lambda a, b: manifold.precision_recall(b, a).precision, False),
    "recall": ("inception", lambda a, b: manifold.precision_recall(b, a).recall, False),
    "iprecision": ("recognizer", lambda a, b: manifold.identity_precision_recall(b, a).precision, True),
    "irecall": ("recognizer", lambda a, b: manifold.identity_precision_recall(b, a).recall, True),
}
