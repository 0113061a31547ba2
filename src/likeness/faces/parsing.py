"""Which part of the face is where in an aligned crop, and paste-back masks made of it. Importing this loads torch.

The masks are those of the field's pipelines (facexlib, as GFPGAN and RestoreFormer use it; CodeFormer), computed in
the frame of the crop.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from likeness.faces.template import CROP_SIZE
from likeness.nets.bisenet import BiSeNet
from likeness.nets.parsenet import ParseNet

# CelebAMask-HQ's parts, in the order in which each network numbers them. "Left" is the person's left.
PARSENET_CLASSES = (
    "background", "skin", "nose", "eyeglasses", "left eye", "right eye", "left brow", "right brow", "left ear",
    "right ear", "mouth", "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "clothes",
)  # fmt: skip
BISENET_CLASSES = (
    "background", "skin", "left brow", "right brow", "left eye", "right eye", "eyeglasses", "left ear", "right ear",
    "earring", "nose", "mouth", "upper lip", "lower lip", "neck", "necklace", "clothes", "hair", "hat",
)  # fmt: skip
NOT_PASTED = frozenset({"background", "hat", "necklace", "neck", "clothes"})  # where the photo stays as it was

_FRAME = 10  # pixels along the border of the crop that are never pasted
_BLUR = (101, 11.0)  # size and sigma of each of the two Gaussians that soften the mask


class FaceParser:
    """A parsing network, ready to run. ``names[k]`` is what class ``k`` stands for."""

    def __init__(self, net: ParseNet | BiSeNet, device: torch.device | str = "cpu") -> None:
        self._net = net.eval().requires_grad_(False).to(device)
        self._device = device
        self.names = BISENET_CLASSES if isinstance(net, BiSeNet) else PARSENET_CLASSES

    @torch.inference_mode()
    def classes(self, crops: np.ndarray) -> np.ndarray:
        """(B, 512, 512, 3) float32 RGB in [0, 1], aligned -> (B, 512, 512) uint8 class numbers.

        Crops go one by one: at this size a batch is not faster. Raises ValueError for other shapes or types.
        """
        if crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or crops.dtype != np.float32:
            raise ValueError(f"crops must be (B, {CROP_SIZE}, {CROP_SIZE}, 3) float32, got {crops.shape} {crops.dtype}")
        maps = np.empty(crops.shape[:3], np.uint8)
        for crop, found in zip(crops, maps, strict=True):
            x = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None].to(self._device)
            if isinstance(self._net, BiSeNet):
                mean, std = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (BiSeNet.MEAN, BiSeNet.STD))
                logits = self._net.parse((x - mean) / std)
            else:
                logits = self._net(x * 2 - 1)[0]
            found[...] = logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()
        return maps

    def pasted(self, classes: np.ndarray) -> np.ndarray:
        """Which pixels belong to what is pasted: bool, of the shape of ``classes``."""
        return np.asarray(np.array([name not in NOT_PASTED for name in self.names])[classes])


def load_parser(path: Path, device: torch.device | str = "cpu") -> FaceParser:
    """The parser whose weights lie in ``path``: ParseNet's (parsing_parsenet.pth) or BiSeNet's (parsing_bisenet.pth).

    Raises WeightsError when they are not there or of neither.
    """
    from likeness.weights.checkpoint import fill_strict, read_checkpoint

    tensors = read_checkpoint(path)
    net = BiSeNet() if any(key.startswith("cp.resnet.") for key in tensors) else ParseNet()
    fill_strict(net, tensors, str(path))
    return FaceParser(net, device)


def parsing_mask(pasted: np.ndarray) -> np.ndarray:
    """facexlib's soft mask of what is pasted: blurred twice, and 0 in a frame of 10 pixels.

    pasted: (512, 512) bool, as of ``FaceParser.pasted`` on the restored crop. Returns (512, 512) float32 in [0, 1].
    Raises ValueError for other shapes.
    """
    import cv2

    if pasted.shape != (CROP_SIZE, CROP_SIZE):
        raise ValueError(f"pasted must be ({CROP_SIZE}, {CROP_SIZE}), got {pasted.shape}")
    mask = pasted.astype(np.float32)
    size, sigma = _BLUR
    for _ in range(2):
        mask = np.asarray(cv2.GaussianBlur(mask, (size, size), sigma))
    inner = slice(_FRAME, CROP_SIZE - _FRAME)
    framed = np.zeros_like(mask)
    framed[inner, inner] = mask[inner, inner].clip(0.0, 1.0)
    return framed


def square_mask(size: float = CROP_SIZE, upscale: int = 1) -> np.ndarray:
    """CodeFormer's mask without parsing: the crop's square, made smaller and blurred. (512, 512) float32 in [0, 1].

    size: side of the crop in pixels of the photo that it is pasted into (``Face.size`` times ``upscale``), in which
    the official pipeline erodes by ``upscale`` pixels, then by a 20th of what is left of the side, and blurs as
    far. Eroding and blurring a square is done along each side alone. Raises ValueError unless size >= 1.
    """
    if not size >= 1.0:
        raise ValueError(f"size must be at least 1, got {size}")
    factor = CROP_SIZE / size
    edge = int(max(size - 2 * upscale + 1, 0.0)) // 20  # a box of 2n pixels takes 2n - 1 off the side
    start = min((upscale + edge) * factor, CROP_SIZE / 2)
    at = np.arange(CROP_SIZE) + 0.5
    side = np.clip(np.minimum(at - start, CROP_SIZE - start - at) + 0.5, 0.0, 1.0)  # 1 inside, the edge pixel in part
    if edge:
        sigma = (0.3 * (edge - 1) + 0.8) * factor  # OpenCV's sigma for a kernel of 2 * edge + 1
        reach = int(edge * factor)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        side = np.convolve(np.pad(side, reach), kernel / kernel.sum(), mode="valid")
    side[[0, -1]] = 0.0
    return np.asarray(np.outer(side, side).clip(0.0, 1.0).astype(np.float32))


class ParsingMask:
    """The parts of the face that the parser finds. ``square``: and never beyond CodeFormer's square mask.

    Meant for the *restored* crop, in which the parts are seen more clearly: ``of_restored`` says so.
    """

    name = "parsing"
    of_restored = True

    def __init__(self, parser: FaceParser, square: bool = False) -> None:
        self._parser = parser
        self._limit = square_mask() if square else None

    def mask(self, crop: np.ndarray) -> np.ndarray:
        """(512, 512, 3) float32 RGB in [0, 1] -> (512, 512) float32 in [0, 1], 0 along the border.

        Raises ValueError for other shapes or types.
        """
        mask = parsing_mask(self._parser.pasted(self._parser.classes(crop[None])[0]))
        return mask if self._limit is None else np.minimum(mask, self._limit)
