"""A photo of any size in the square frame that a detector's network takes, and the way back to photo pixels.

The picture lies in the frame's top left corner; the rest is black. Coordinates are counted as the networks' training
counts them: a resize multiplies them by its factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from likeness.faces.candidates import scaled

MULTIPLE = 32  # of which the sides of a frame must be multiples: the coarsest stride of the networks
LONGEST = 4096  # pixels; bounds time and memory


@dataclass(frozen=True, eq=False)
class Letterbox:
    """frame: (side, side, 3) uint8 RGB. width, height: of the picture in it. x, y: photo pixels per frame pixel."""

    frame: np.ndarray
    width: int
    height: int
    x: float
    y: float

    def to_photo(self, rows: np.ndarray) -> np.ndarray:
        """Rows (K, 15) in frame pixels -> in photo pixels, float64, without those that lie beside the picture."""
        inside = (rows[:, 0] < self.width) & (rows[:, 1] < self.height) & (rows[:, 2] > 0) & (rows[:, 3] > 0)
        return scaled(rows[inside], self.x, self.y)


def letterbox(pixels: np.ndarray, side: int, enlarge: bool) -> Letterbox:
    """(H, W, 3) uint8 RGB in a square frame of ``side`` pixels, in proportion: reduced to fit, by averaging over areas
    so that nothing aliases; smaller pictures are enlarged until they fit if ``enlarge``, else kept as they are.

    The factors are those of the whole pixels that the picture came to, not the intended one.
    """
    import cv2

    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if not enlarge:
        factor = min(1.0, factor)
    new_width, new_height = max(1, round(width * factor)), max(1, round(height * factor))
    if (new_width, new_height) != (width, height):
        kind = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (new_width, new_height), interpolation=kind)
    frame = np.zeros((side, side, 3), dtype=np.uint8)
    frame[:new_height, :new_width] = pixels
    return Letterbox(frame, new_width, new_height, width / new_width, height / new_height)


def look(
    pixels: np.ndarray, sides: Sequence[int], enlarge: bool, find: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What ``find`` (frame (side, side, 3) uint8 RGB -> rows (K, 15) in frame pixels) finds in frames of all ``sides``:
    rows (K, 15) in photo pixels, each face perhaps several times. A picture that fits in several is looked at once."""
    rows, seen = [np.empty((0, 15))], set()
    for side in sorted(sides):
        box = letterbox(pixels, side, enlarge)
        if (box.width, box.height) not in seen:
            seen.add((box.width, box.height))
            rows.append(box.to_photo(find(box.frame)))
    return np.concatenate(rows)


def check_sides(sides: Sequence[int]) -> tuple[int, ...]:
    """The sides of the frames. Raises ValueError unless there are some, multiples of 32 from 32 to 4096."""
    sides = tuple(sides)
    if not sides or any(side % MULTIPLE or not MULTIPLE <= side <= LONGEST for side in sides):
        raise ValueError(f"sides must be multiples of {MULTIPLE} from {MULTIPLE} to {LONGEST}, got {sides!r}")
    return sides
