"""Which backend computes a loaded method: the one that is asked for, or the fastest that gives the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from likeness.methods.card import MethodCard, Restorer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from likeness.backends.graph import Part
    from likeness.backends.server import Server


class Servable(Protocol):
    """A restorer whose networks other backends can compute. ``parts()`` are those that every face goes through."""

    card: MethodCard
    fingerprint: str
    device: torch.device
    dtype: torch.dtype
    backend: str

    def parts(self) -> Sequence[Part]:
        """Empty when the method must compute by torch."""
        ...

    def serve(self, server: Server) -> None:
        """From now on compute by ``server``."""
        ...


def with_backend(restorer: Restorer, backend: str, precision: str, *, fast: bool) -> Restorer:
    """``restorer``, computing by ``backend``.

    ``precision``: as the user gave it ("auto" lets a backend take the one it has). With "auto" the backend is torch
    unless ``fast``; then it is the fastest that is installed and passes the acceptance test. A restorer that computes
    by torch is left as it is. Raises BackendError.
    """
    from likeness.backends.choose import FASTEST, BackendError, meant, missing

    chosen = meant(backend)
    if chosen == "torch":
        return restorer
    servable: Any = restorer
    parts = servable.parts() if hasattr(restorer, "parts") else ()
    if chosen != "auto":
        if not parts:
            if backend == "auto":  # the variable speaks of the methods that can
                return restorer
            raise BackendError(f"{restorer.card.name} computes by torch only: omit --backend {chosen}")
        _use(servable, chosen, precision)
    elif fast and parts and servable.device.type == "cpu":
        for name in FASTEST:
            if not missing(name) and _use_if_good(servable, name, precision):
                break
    return restorer


def _use(restorer: Servable, backend: str, precision: str) -> None:
    """Raises BackendError when it is not there, cannot do it, or fails the acceptance test."""
    import torch

    from likeness.backends.check import LIMIT
    from likeness.backends.choose import BackendError
    from likeness.backends.server import Server, refusal

    dtype = torch.float32 if backend == "onnx" and precision == "auto" else restorer.dtype
    server = Server(backend, restorer.device, dtype, method=restorer.card.name, weights=restorer.fingerprint)
    for part in restorer.parts():
        try:
            figure = server.prepare(part)
        except BackendError as error:
            raise BackendError(f"{restorer.card.name} by backend {backend}: {error}") from error
        if figure < LIMIT:
            raise BackendError(f"{restorer.card.name}: {refusal(backend, part.name, figure)}; use --backend torch")
    restorer.dtype = dtype
    restorer.serve(server)


def _use_if_good(restorer: Servable, backend: str, precision: str) -> bool:
    """Whether it is used now; if not, that is said. In bfloat16 it may give other pixels and in float32 not."""
    import torch

    from likeness.backends.cache import say_on_standard_error
    from likeness.backends.choose import BackendError

    kept = restorer.dtype
    for dtype in dict.fromkeys((kept, torch.float32) if precision == "auto" else (kept,)):
        restorer.dtype = dtype
        try:
            _use(restorer, backend, precision)
        except (BackendError, OSError) as error:
            say_on_standard_error(f"backend {backend} is not used: {' '.join(str(error).split())}")
        else:
            return True
    restorer.dtype = kept
    return False


def example_picture(side: int = 512) -> Tensor:
    """A picture (1, 3, side, side) in [-1, 1] with smooth places, edges and grain: always the same, to try networks."""
    import torch
    import torch.nn.functional as F

    draw = torch.Generator().manual_seed(0)
    smooth = F.interpolate(torch.rand(1, 3, 9, 9, generator=draw), (side, side), mode="bicubic", align_corners=False)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, side)] * 2, indexing="ij")
    face = ((x / 0.6) ** 2 + ((y - 0.1) / 0.8) ** 2 < 1).float() * torch.tensor([0.3, 0.15, 0.05]).view(3, 1, 1)
    eyes = sum(((x - at) ** 2 + (y + 0.1) ** 2 < 0.01).float() for at in (-0.25, 0.25))
    grain = torch.randn(1, 3, side, side, generator=draw) * 0.03
    return (smooth * 0.6 + face - 0.4 * eyes + grain).clamp(0, 1) * 2 - 1
