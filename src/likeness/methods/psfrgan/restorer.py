"""From the authors' two files to pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.one_pass import OnePass, OnePassRestorer, Options
from likeness.methods.psfrgan.card import CARD
from likeness.methods.psfrgan.network import PSFRGenerator
from likeness.nets.parsenet import ParseNet
from likeness.nets.spectral import fold_spectral_norm

# Beside the generator. The second is the name under which the field's other tools publish the same network.
PARSERS = ("parse_multi_iter_90000", "parsing_parsenet")
SUFFIXES = (".pth", ".safetensors")


class PSFRGAN(nn.Module):
    """The generator and the parser that makes its guide."""

    def __init__(self, generator: PSFRGenerator, parser: ParseNet) -> None:
        super().__init__()
        self.generator, self.parser = generator, parser

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 512, 512) RGB in [-1, 1] -> the same, not bounded."""
        return self.generator(x, self.parse(x))  # type: ignore[no-any-return]

    def parse(self, x: Tensor) -> Tensor:
        """The map of ``x``, one-hot (B, 19, H, W): one where the logit is the largest (a tie gives several ones)."""
        # In half precision ties would be common, hence always float32.
        with torch.autocast(x.device.type, enabled=False):
            logits, _ = self.parser(x.float())
        return (logits == logits.amax(dim=1, keepdim=True)).to(x.dtype)  # type: ignore[no-any-return]


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Both files are bare state dicts."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> PSFRGenerator | None:
    """The generator, from the widths of its stages and of the parse map."""
    guide = tensors.get("head.1.norm_0.conv1.0.weight_orig")
    if guide is None or "const_input" not in tensors:
        return None
    _, width, start, _ = tensors["const_input"].shape
    widths = [width]
    while f"body.{len(widths) - 1}.1.weight_orig" in tensors:
        widths.append(tensors[f"body.{len(widths) - 1}.1.weight_orig"].shape[0])
    return PSFRGenerator(widths, start, guide.shape[1] - 3)


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """One pass of parser and generator."""
    return net(x)  # type: ignore[no-any-return]


METHOD = OnePass(CARD, unpack, recognise, run)


def load_both(device: torch.device, dtype: torch.dtype, weights: Path | None) -> OnePassRestorer:
    """See ``likeness.methods.psfrgan.load``."""
    from likeness.weights.checkpoint import read_checkpoint
    from likeness.weights.load import WeightsError, fill_strict, fingerprint

    path, parser_path = _files(weights)
    tensors = unpack(read_checkpoint(path))
    generator = recognise(tensors)
    if generator is None:
        raise WeightsError(f"{path} holds no weights of {CARD.name}")
    fill_strict(generator, tensors, str(path))
    fold_spectral_norm(generator)
    parser = ParseNet()
    fill_strict(parser, unpack(read_checkpoint(parser_path)), str(parser_path))
    digest = hashlib.sha256((fingerprint(path) + fingerprint(parser_path)).encode()).hexdigest()
    return OnePassRestorer(METHOD, PSFRGAN(generator, parser), device, dtype, digest)


def _files(weights: Path | None) -> tuple[Path, Path]:
    """Those of the generator and the parser. Raises WeightsError."""
    from likeness.weights.load import WeightsError
    from likeness.weights.store import locate

    if weights is None:
        return locate("psfrgan"), locate("psfrgan-parser")
    beside = [weights.with_name(name + suffix) for name in PARSERS for suffix in SUFFIXES]
    found = next((path for path in beside if path.is_file()), None)
    if found is None:
        raise WeightsError(f"PSFRGAN needs its face parser too: expected {beside[0]}")
    return weights, found
