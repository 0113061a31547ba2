"""From the authors' files, crops and landmarks to pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likeness.methods.card import OptionError
from likeness.methods.dfdnet.card import CARD
from likeness.methods.dfdnet.dictionary import FOLDER, Dictionary, dictionary_files, read_dictionary
from likeness.methods.dfdnet.landmarks import SIZE, face_boxes
from likeness.methods.dfdnet.network import DFDNet
from likeness.methods.released import Released
from likeness.nets.spectral import fold_spectral_norm


class DFDNetRestorer:
    """Restores aligned crops with known landmarks. ``fingerprint`` is a sha256 over weights and dictionary."""

    card = CARD

    def __init__(
        self, net: DFDNet, dictionary: Dictionary, device: torch.device, dtype: torch.dtype, fingerprint: str
    ) -> None:
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.net = net.eval().requires_grad_(False).to(device)
        self.dictionary = dictionary.to(device)

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, landmarks: Any = None, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored.

        ``landmarks`` (B, 68, 2): x and y of the usual 68 points in pixels of the crop, a tensor or an array. Raises
        OptionError when they are missing or do not fit (naming the face, counted from 1), ValueError for another
        shape of ``crops``.
        """
        self.card.choose(options)
        if crops.ndim != 4 or crops.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"expected (B, 3, {SIZE}, {SIZE}), got {tuple(crops.shape)}")
        if landmarks is None:
            raise OptionError("method dfdnet needs landmarks: 68 points for each face, in pixels of the 512 crop")
        points = torch.as_tensor(landmarks)
        if points.shape != (len(crops), 68, 2):
            raise OptionError(f"expected landmarks ({len(crops)}, 68, 2), got {tuple(points.shape)}")
        boxes = [face_boxes(own, number) for number, own in enumerate(points, 1)]
        x = crops.to(self.device, torch.float32) * 2 - 1
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            restored = self.net(x, boxes, self.dictionary)
        return restored.float().add(1).div(2).to(crops)  # type: ignore[no-any-return]


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The file is a bare state dict."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> DFDNet | None:
    """The network, from its width and whether VGG's classifier (which is not used) is in the file."""
    last = tensors.get("up4.4.weight")
    if last is None or "MSDilate.convi.weight_orig" not in tensors:
        return None
    return DFDNet(last.shape[1], "VggExtract.model.classifier.0.weight" in tensors)


METHOD = Released(CARD, unpack, recognise)


def load_dfdnet(device: torch.device, dtype: torch.dtype, weights: Path | None) -> DFDNetRestorer:
    """See ``likeness.methods.dfdnet.load``."""
    path, folder = _files(weights)
    from likeness.weights.checkpoint import read_checkpoint
    from likeness.weights.load import WeightsError, fill_strict, fingerprint

    tensors = unpack(read_checkpoint(path))
    net = recognise(tensors)
    if net is None:
        raise WeightsError(f"{path} holds no weights of {CARD.name}")
    fill_strict(net, tensors, str(path))
    net.drop_unused()
    fold_spectral_norm(net)
    dictionary = read_dictionary(folder, tensors["up4.4.weight"].shape[1])
    digests = [fingerprint(file) for file in (path, *dictionary_files(folder))]
    return DFDNetRestorer(net, dictionary, device, dtype, hashlib.sha256("".join(digests).encode()).hexdigest())


def _files(weights: Path | None) -> tuple[Path, Path]:
    """That of the network and the folder of the dictionaries. Raises WeightsError."""
    from likeness.weights.load import WeightsError
    from likeness.weights.store import locate

    if weights is None:
        return locate("dfdnet"), locate("dfdnet-dictionary")
    folder = weights.with_name(FOLDER)
    files = dictionary_files(folder)
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        names = "all of them" if len(missing) == len(files) else ", ".join(missing)
        raise WeightsError(
            f"DFDNet needs its dictionaries beside its weights: expected {len(files)} files "
            f"<part>_<size>_center.npy in {folder}, missing {names}"
        )
    return weights, folder
