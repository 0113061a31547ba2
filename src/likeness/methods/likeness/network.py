"""The built-in network: a denoiser, whose answer to pure noise is the posterior mean, and a sharpener."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from likeness.methods.likeness import denoiser, sharpener
from likeness.methods.likeness.trunk import TrunkConfig

RISING = re.compile(r"(?P<level>.+\.decoder\.\d+)\.(?P<block>\d+)\.")  # "denoiser.decoder.0.1.conv1.weight"


class LikenessNet(nn.Module):
    """Both parts under one roof, so that weights and checkpoints are always whole.

    ``forward(part, *inputs)`` calls "denoiser", "sharpener", or "sharpener.parts" (one door for all: compilers and
    data-parallel wrappers look at ``forward`` only).
    """

    def __init__(self, first: TrunkConfig = denoiser.CONFIG, second: TrunkConfig = sharpener.CONFIG) -> None:
        super().__init__()
        self.denoiser = denoiser.Denoiser(first)
        self.sharpener = sharpener.Sharpener(second)

    def forward(self, part: str, *inputs: Tensor | None) -> Any:
        if part == "sharpener.parts":
            return self.sharpener.parts(*inputs)  # type: ignore[arg-type]
        return getattr(self, part)(*inputs)


def with_new_blocks(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """``tensors`` of the network as it was with fewer blocks on a level's way up, for the deeper ``network``.

    The blocks after a level's last one in the file are as they start, hence change nothing: the network computes what
    the shallower one did. Everything else is as in the file, whether it fits or not.
    """
    last: dict[str, int] = {}
    for key in tensors:
        if found := RISING.match(key):
            last[found["level"]] = max(int(found["block"]), last.get(found["level"], 0))

    def is_new(key: str) -> bool:
        found = RISING.match(key)
        return found is not None and found["level"] in last and int(found["block"]) > last[found["level"]]

    return {**tensors, **{key: value for key, value in network.state_dict().items() if is_new(key)}}
