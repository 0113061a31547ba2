"""What the published single-pass methods share: one network, one call, pictures in [-1, 1].

A method's module makes one ``OnePass`` constant; everything else (weights, precision, range, options) is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from likeness.methods.released import Released

if TYPE_CHECKING:
    from likeness.backends.graph import Part
    from likeness.backends.server import Server

Options = Mapping[str, int | float]


@dataclass(frozen=True)
class OnePass(Released):
    """A published method of one call.

    ``run(net, x, options, seed)``: (B, 3, 512, 512) RGB in [-1, 1] -> the same, restored, not clipped. It calls
    ``net`` once, with noise among the arguments, unless ``one_call`` is false: such a method computes by torch only.
    """

    run: Callable[[nn.Module, Tensor, Options, int], Tensor]
    one_call: bool = field(default=True, kw_only=True)


class OnePassRestorer:
    """Restores aligned crops by one call of the network. ``fingerprint`` is the sha256 of the weights, ``backend`` what
    computes the network."""

    backend = "torch"
    _server: Server | None = None

    def __init__(
        self, method: OnePass, net: nn.Module, device: torch.device, dtype: torch.dtype, fingerprint: str
    ) -> None:
        self.method, self.card = method, method.card
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.net = net.eval().requires_grad_(False).to(device)

    def parts(self) -> list[Part]:
        """The network as ``restore`` calls it for one face with the default options; none if it calls more."""
        from likeness.backends.graph import Part
        from likeness.methods.serving import example_picture

        if not self.method.one_call:
            return []
        caught: list[tuple[Any, ...]] = []

        def catch(*arguments: Any) -> Tensor:
            caught.append(arguments)
            raise _CaughtError

        with torch.inference_mode(), _forward(self.net, catch), suppress(_CaughtError):
            self.method.run(self.net, example_picture().to(self.device), self.card.choose({}), 0)
        return [Part("net", self.net, arguments) for arguments in caught]

    def serve(self, server: Server) -> None:
        """From now on the network is computed by ``server``."""
        self._server, self.backend = server, server.backend

    @torch.inference_mode()
    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored. Raises OptionError, or ValueError (shape)."""
        chosen = self.card.choose(options)
        if crops.ndim != 4 or crops.shape[1:] != (3, 512, 512):
            raise ValueError(f"expected (B, 3, 512, 512), got {tuple(crops.shape)}")
        x = crops.to(self.device, torch.float32) * 2 - 1
        restored = self._run(x, chosen, seed)
        return restored.float().clamp(-1, 1).add(1).div(2).to(crops)

    def _run(self, x: Tensor, options: Options, seed: int) -> Tensor:
        server = self._server
        if server is None:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                return self.method.run(self.net, x, options, seed)

        def ask(*arguments: Any) -> Tensor:
            with _forward(self.net, None):  # the graph may have to be made: of the network itself
                return server("net", self.net, *arguments)

        with _forward(self.net, ask):
            return self.method.run(self.net, x, options, seed)


class _CaughtError(Exception):
    """The arguments are known; the network need not run."""


@contextmanager
def _forward(net: nn.Module, instead: Callable[..., Tensor] | None) -> Iterator[None]:
    """Within it ``net(...)`` calls ``instead``; None: the network's own."""
    before = net.__dict__.pop("forward", None)
    if instead is not None:
        net.__dict__["forward"] = instead
    try:
        yield
    finally:
        net.__dict__.pop("forward", None)
        if before is not None:
            net.__dict__["forward"] = before


def load_one_pass(
    method: OnePass, device: torch.device, dtype: torch.dtype, weights: Path | None = None
) -> OnePassRestorer:
    """The restorer with the weights of ``weights``, or of the catalogue's file for this method. Raises WeightsError."""
    net, sha256 = method.load(weights)
    return OnePassRestorer(method, net, device, dtype, sha256)
