"""Real-ESRGAN as an up-sampler, in seamless tiles, and the authors' own pipeline for comparison.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCV Workshops 2021.
Importing this loads torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likeness.nets.rrdbnet import RRDBNet
from likeness.nets.srvgg import SRVGGNetCompact
from likeness.upscale.lanczos import check_image, resize_lanczos
from likeness.upscale.tiles import from_unit, to_unit, upscale_in_tiles

Net = RRDBNet | SRVGGNetCompact


class RealESRGAN:
    """Enlarges pictures by a network, tile by tile.

    tile: side of a tile in pixels of the input, which decides over the memory. overlap: pixels that neighbours share;
    from four times the network's ``reach`` on, tiles change nothing; in practice a seam is below one level of 8 bits
    long before. Defaults: see ``usual_tiles``; the overlap at most a quarter of the tile. dtype: torch.float16 halves
    the memory on a GPU.

    Raises ValueError unless tile and overlap are multiples of the network's ``multiple`` and 2 * overlap <= tile.
    """

    name = "realesrgan"

    def __init__(
        self,
        net: Net,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> None:
        usual = usual_tiles(net)
        tile = usual[0] if tile is None else tile
        overlap = min(usual[1], tile // (4 * net.multiple) * net.multiple) if overlap is None else overlap
        if tile % net.multiple or overlap % net.multiple or not 0 <= 2 * overlap <= tile or tile < 1:
            raise ValueError(
                f"need 0 <= 2 * overlap <= tile, both multiples of {net.multiple}; got tile {tile}, overlap {overlap}"
            )
        self._net = net.eval().requires_grad_(False).to(device)
        self._device, self._dtype = torch.device(device), dtype
        self._tile, self._overlap = tile, overlap
        self.scale = net.scale

    def upscale(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32 RGB in [0, 1], uint8 or uint16 -> (H * scale, W * scale, 3) of the same type, clipped.

        Any size; the memory beside the result hardly grows with it. Raises ValueError for other shapes or types.
        """
        check_image(image)
        return upscale_in_tiles(
            self._run, image, self.scale, tile=self._tile, overlap=self._overlap, multiple=self._net.multiple
        )

    @torch.inference_mode()
    def _run(self, tile: np.ndarray) -> np.ndarray:
        """(h, w, 3) float32 in [0, 1] -> (h * scale, w * scale, 3) float32, not clipped."""
        x = torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))[None].to(self._device)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            y = self._net(x)
        return np.asarray(y[0].float().permute(1, 2, 0).cpu().numpy())

    def official(
        self, pixels: np.ndarray, *, outscale: float | None = None, tile: int = 0, tile_pad: int = 10, pre_pad: int = 0
    ) -> np.ndarray:
        """What the authors' tool gives, seams included: for comparison, and for those who need its very pixels.

        pixels: (H, W, 3) uint8 or uint16 RGB. outscale: the wanted scale, by Lanczos on the rounded result; default:
        the network's. tile: side of a tile, 0 for none. tile_pad: pixels read around a tile and cut off again.
        pre_pad: pixels mirrored to the bottom and right. GFPGAN sets tile 400, tile_pad 10; CodeFormer 400, 40.
        Returns (int(H * outscale), int(W * outscale), 3) of the same type. Raises ValueError for other types, and for
        tiles that are not multiples of what the network needs.
        """
        check_image(pixels)
        multiple, scale = self._net.multiple, self.scale
        if pixels.dtype == np.float32:
            raise ValueError("the official pipeline takes uint8 or uint16 pixels")
        if tile < 0 or tile_pad < 0 or pre_pad < 0 or tile % multiple or (tile and tile_pad % multiple):
            raise ValueError(f"tile, tile_pad, pre_pad must be 0 or more, the tiles multiples of {multiple}")
        height, width = pixels.shape[:2]
        image = to_unit(pixels)
        image = np.pad(image, ((0, pre_pad), (0, pre_pad), (0, 0)), mode="reflect")
        image = np.pad(image, ((0, -image.shape[0] % multiple), (0, -image.shape[1] % multiple), (0, 0)), "reflect")
        enlarged = self._official_tiles(image, tile, tile_pad) if tile else self._run(image)
        enlarged = enlarged[: height * scale, : width * scale].clip(0.0, 1.0)
        result = from_unit(enlarged, pixels.dtype)
        wanted = scale if outscale is None else outscale
        return resize_lanczos(result, int(height * wanted), int(width * wanted))

    def _official_tiles(self, image: np.ndarray, tile: int, pad: int) -> np.ndarray:
        """The padded picture in a grid of tiles: each is read with up to ``pad`` pixels around it, which are cut."""
        height, width = image.shape[:2]
        scale = self.scale
        out = np.empty((height * scale, width * scale, 3), np.float32)
        for top, left in product(range(0, height, tile), range(0, width, tile)):
            down, right = min(top + tile, height), min(left + tile, width)
            first_row, first_column = max(top - pad, 0), max(left - pad, 0)
            read = image[first_row : min(down + pad, height), first_column : min(right + pad, width)]
            y, x = (top - first_row) * scale, (left - first_column) * scale
            part = self._run(read)[y : y + (down - top) * scale, x : x + (right - left) * scale]
            out[top * scale : down * scale, left * scale : right * scale] = part
        return out


def usual_tiles(net: Net) -> tuple[int, int]:
    """Tile and overlap in pixels of the input. With random weights, seams of at most a fifth of a level of 8 bits.

    RRDBNet works at a resolution ``multiple`` times coarser than the input, so its tiles are that much larger.
    """
    return (512, 64) if isinstance(net, SRVGGNetCompact) else (256 * net.multiple, 32 * net.multiple)


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors out of a released file: under "params_ema", else "params", else as they are."""
    for nest in ("params_ema", "params"):
        if isinstance(checkpoint.get(nest), Mapping):
            checkpoint = checkpoint[nest]
            break
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def mix_denoise(general: Mapping[str, Tensor], denoising: Mapping[str, Tensor], strength: float) -> dict[str, Tensor]:
    """The authors' "denoise strength" s of realesr-general-x4v3: s * general + (1 - s) * wdn, key by key.

    Raises ValueError unless s is in [0, 1] and both have the same keys.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be in [0, 1], got {strength}")
    if general.keys() != denoising.keys():
        raise ValueError("the two networks do not have the same keys")
    return {key: strength * tensor + (1.0 - strength) * denoising[key] for key, tensor in general.items()}


def recognise(tensors: Mapping[str, Tensor]) -> Net | None:
    """The unfilled network that these weights belong to, whichever of the released sizes; None if of another kind."""
    return RRDBNet.from_tensors(tensors) or SRVGGNetCompact.from_tensors(tensors)


def load_realesrgan(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    denoising: Path | None = None,
    strength: float = 1.0,
    tile: int | None = None,
    overlap: int | None = None,
) -> RealESRGAN:
    """The up-sampler with the weights of ``path``: RealESRGAN_x4plus, x2plus, RealESRNet, anime_6B, realesr-general-
    x4v3, animevideov3. ``denoising``: the "wdn" variant of the general network, mixed in as ``mix_denoise`` says.

    Raises WeightsError when the file is not there or of another network, ValueError for other settings.
    """
    from likeness.weights.checkpoint import fill_strict, read_checkpoint
    from likeness.weights.errors import WeightsError

    tensors = unpack(read_checkpoint(path))
    if denoising is not None:
        tensors = mix_denoise(tensors, unpack(read_checkpoint(denoising)), strength)
    net = recognise(tensors)
    if net is None:
        raise WeightsError(f"{path} holds no weights of Real-ESRGAN")
    fill_strict(net, tensors, str(path))
    return RealESRGAN(net, device, dtype, tile=tile, overlap=overlap)
