"""How the released file of a method is read: from what its authors saved to a filled network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.methods.card import MethodCard

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Released:
    """A published method's file.

    ``unpack(checkpoint)``: the network's tensors out of what the authors' file holds (nesting, prefixes, entries that
    are not the network's); a flat mapping of tensors passes as it is. ``recognise(tensors)``: the network that these
    keys and shapes belong to, with its hyper-parameters, unfilled; None when they are of another method.
    ``facts(path, checkpoint)``: what the file says beside tensors and must not be lost in a clean copy, as plain data.
    """

    card: MethodCard
    unpack: Callable[[Mapping[str, Any]], Mapping[str, Tensor]]
    recognise: Callable[[Mapping[str, Tensor]], nn.Module | None]
    facts: Callable[[Path, Mapping[str, Any]], Mapping[str, Any] | None] | None = field(default=None, kw_only=True)

    def load(self, weights: Path | None = None, entry: str | None = None) -> tuple[nn.Module, str]:
        """The network filled from ``weights``, and that file's sha256.

        Without ``weights`` the catalogue's ``entry`` is taken (default: the one of this method that is marked so).
        Raises WeightsError.
        """
        from likeness.weights.checkpoint import fill_strict, read_checkpoint
        from likeness.weights.load import WeightsError, fingerprint
        from likeness.weights.store import locate

        path = weights or locate(entry or self.card.name)
        try:
            tensors = self.unpack(read_checkpoint(path))
        except WeightsError as error:
            raise error if str(path) in str(error) else WeightsError(f"{path}: {error}") from error
        net = self.recognise(tensors)
        if net is None:
            raise WeightsError(f"{path} holds no weights of {self.card.name}")
        fill_strict(net, tensors, str(path))
        return net, fingerprint(path)
