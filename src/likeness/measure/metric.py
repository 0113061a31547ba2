"""What a metric is: thin classes over the pure functions, with the facts a reader of its numbers must know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Need = Literal["truth", "counterpart", "reference", "degraded"]


@dataclass(frozen=True)
class MetricCard:
    """Facts about a metric.

    ``low``, ``high``: the range of its values. ``needs``: "truth" (the true picture of each restored one),
    "counterpart" (the truth, or where there is none the degraded picture), "reference" (a set of real pictures),
    "degraded" (the degraded pictures with the manifest of their degradation).
    ``weights``: entries of the catalogue without which it cannot be had. ``faces``: it looks at the aligned face, not
    at the whole picture. ``digits``: decimals that mean something. ``target``: the best value, where neither the
    highest nor the lowest is (noise is sharper than any face).
    """

    name: str
    title: str
    higher_is_better: bool
    low: float
    high: float
    source: str
    needs: tuple[Need, ...] = ()
    weights: tuple[str, ...] = ()
    faces: bool = False
    unit: str = ""
    digits: int = 3
    target: float | None = None


@dataclass(frozen=True)
class PictureMetric:
    """A number for each picture, from its pixels and, when the card says so, the true ones.

    ``function``: (B, 3, H, W) RGB in [0, 1], and the truth of the same shape or None -> (B,). A value that is not
    finite says that the picture has none (equal pictures have no finite PSNR): it is counted and left out of the mean.
    ``version``: what its values depend on beside the pixels, such as the sha256 of its weights.
    """

    card: MetricCard
    function: Callable[[Tensor, Tensor | None], Tensor]
    version: str = "1"


class Extractor(Protocol):
    """Turns pictures into vectors, which several metrics share and which are kept.

    ``faces``: takes aligned faces (B, 3, 512, 512), not whole pictures; ``version``: as ``PictureMetric.version``.
    """

    @property
    def name(self) -> str: ...
    @property
    def faces(self) -> bool: ...
    @property
    def version(self) -> str: ...

    def extract(self, pictures: Tensor) -> np.ndarray:
        """(B, 3, H, W) RGB in [0, 1] -> (B, D) float."""
        ...


@dataclass(frozen=True)
class EmbeddingMetric:
    """A number for each picture from its vector and that of its truth.

    ``function``: (N, D), (N, D) -> (N,), not finite where a pair has no value. ``whole``: how the set's number comes
    from the vectors, where that is not the mean of the pictures' numbers.
    """

    card: MetricCard
    extractor: Extractor
    function: Callable[[Tensor, Tensor], Tensor]
    whole: Callable[[Tensor, Tensor], float] | None = None


@dataclass(frozen=True)
class SetMetric:
    """A number for a set of pictures from its vectors and those of a reference set.

    ``function``: restored (N, D), reference (M, D) -> the number. ``paired``: row i of both belongs to one picture.
    """

    card: MetricCard
    extractor: Extractor
    function: Callable[[Tensor, Tensor], float]
    paired: bool = False


Metric = PictureMetric | EmbeddingMetric | SetMetric
