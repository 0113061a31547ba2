"""Variety for a small training set: things before the face, another camera, prints that have aged.

Pure and seeded: the same generator gives the same picture. All of it belongs to the clean picture or to its
degradation, and each function says to which. ``train.data`` does the rest: flips, misalignment and the jitter of
exposure and white balance.
"""

from __future__ import annotations

import cv2
import numpy as np

from likeness.degrade import Step, apply_steps
from likeness.degrade.tone import LUMA
from likeness.faces.template import FFHQ_TEMPLATE

OCCLUSIONS = ("patch", "glasses", "hand")
WARP_KNOTS = 9  # of the field, each way: about the distance between the eyes and the nose
FEATURES = {  # centres in the template's frame and half axes, pixels
    "eyes": (((193, 238), (319, 238)), (50, 30)),
    "brows": (((190, 200), (322, 200)), (56, 20)),
    "nose": (((256, 300),), (42, 62)),
    "mouth": (((257, 372),), (76, 42)),
}
_SKIN = np.array([[0.98, 0.85, 0.75], [0.88, 0.67, 0.52], [0.62, 0.43, 0.32], [0.33, 0.21, 0.16]], np.float32)


def occlude_face(image: np.ndarray, rng: np.random.Generator, kind: str | None = None) -> np.ndarray:
    """Put something before an aligned face: for the clean picture, so that a restorer learns to leave it there.

    image: (512, 512, 3) float32 RGB in [0, 1]. kind: one of OCCLUSIONS, drawn by default: ``patch``, one or two
    rectangles of coloured noise (a phone, a sheet of paper, a strap); ``glasses``, a dark or tinted frame about the
    eyes of the template; ``hand``, a blob in a tone of skin that reaches in from below or the side, with finger-like
    bulges. They are drawn, not photographed: their outlines are like those of the things, their textures are not. The
    same generator gives the same picture. Raises ValueError for another kind or shape.
    """
    if image.shape != (512, 512, 3) or image.dtype != np.float32:
        raise ValueError(f"expected (512, 512, 3) float32, got {image.shape} {image.dtype}")
    chosen = kind or OCCLUSIONS[int(rng.integers(len(OCCLUSIONS)))]
    if chosen == "patch":
        mask, colour = _patch(rng)
    elif chosen == "glasses":
        mask, colour = _glasses(rng)
    elif chosen == "hand":
        mask, colour = _hand(rng)
    else:
        raise ValueError(f"unknown occlusion {kind!r}; known: {', '.join(OCCLUSIONS)}")
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.6, 1.6)))[..., None]
    return np.asarray(np.clip(image * (1 - soft) + colour * soft, 0, 1), np.float32)


def _patch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((512, 512), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        centre, size = rng.uniform(60, 452, 2), rng.uniform(40, 170, 2)
        box = cv2.boxPoints((tuple(centre), tuple(size), float(rng.uniform(0, 180))))
        cv2.fillConvexPoly(mask, np.rint(box).astype(np.int32), 1.0, cv2.LINE_AA)
    return mask, _texture(rng, rng.uniform(0, 1, 3).astype(np.float32), float(rng.uniform(0, 0.15)))


def _glasses(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two rims and their lenses, the bridge and the temples; lenses are clear or tinted."""
    frame, lenses = np.zeros((512, 512), np.float32), np.zeros((512, 512), np.float32)
    eyes = FFHQ_TEMPLATE[:2] + rng.normal(0, 4, 2)
    axes = (round(rng.uniform(38, 56)), round(rng.uniform(26, 46)))
    thick = int(rng.integers(3, 12))
    centres = [(round(x), round(y + 6)) for x, y in eyes.tolist()]
    for centre in centres:
        cv2.ellipse(lenses, centre, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        cv2.ellipse(frame, centre, axes, 0, 0, 360, 1.0, thick, cv2.LINE_AA)
    (x0, y0), (x1, y1) = centres
    for a, b in (
        ((x0 + axes[0], y0), (x1 - axes[0], y1)),
        ((x0 - axes[0], y0), (70, y0)),
        ((x1 + axes[0], y1), (442, y1)),
    ):
        cv2.line(frame, a, b, 1.0, thick, cv2.LINE_AA)
    tint = float(rng.uniform(0.6, 0.95)) if rng.random() < 0.4 else float(rng.uniform(0, 0.15))
    colour = rng.uniform(0, 0.5, 3).astype(np.float32) * np.ones((512, 512, 1), np.float32)
    return np.maximum(frame, lenses * np.float32(tint)), colour


def _hand(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((512, 512), np.float32)
    side = float(rng.choice([-1.0, 0.0, 1.0]))  # from the left, from below, from the right
    root = np.array([256 + side * 250, 500 - abs(side) * rng.uniform(20, 150)])
    palm = root + (np.array([256.0, 330.0]) - root) * rng.uniform(0.15, 0.45)
    _stroke(mask, root, palm, float(rng.uniform(50, 75)))
    towards = np.arctan2(*(np.array([256.0, 280.0]) - palm)[::-1])
    width = float(rng.uniform(13, 19))
    for finger in range(4):
        angle = towards + (finger - 1.5) * rng.uniform(0.12, 0.28)
        base = palm + 34 * np.array([np.cos(angle), np.sin(angle)])
        _stroke(mask, base, base + rng.uniform(70, 140) * np.array([np.cos(angle), np.sin(angle)]), width)
    share = float(rng.random())
    first = int(rng.integers(len(_SKIN) - 1))
    tone = _SKIN[first] * (1 - share) + _SKIN[first + 1] * share
    return mask, _texture(rng, tone.astype(np.float32), 0.05)


def _stroke(mask: np.ndarray, start: np.ndarray, end: np.ndarray, radius: float) -> None:
    (x0, y0), (x1, y1) = np.rint(start).astype(int).tolist(), np.rint(end).astype(int).tolist()
    cv2.line(mask, (x0, y0), (x1, y1), 1.0, max(1, round(2 * radius)), cv2.LINE_AA)


def _texture(rng: np.random.Generator, colour: np.ndarray, amount: float) -> np.ndarray:
    """(512, 512, 3): a colour with smooth noise in two octaves, of standard deviation about ``amount``."""
    noise = np.zeros((512, 512), np.float32)
    for cells in (8, 64):
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        noise += cv2.resize(grid, (512, 512), interpolation=cv2.INTER_CUBIC) * np.float32(0.7)
    return np.asarray(colour + amount * noise[..., None], np.float32)


def warp_face(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Another person's proportions: moves the pixels by a smooth random field. For the clean picture.

    image: (H, W, 3) float32 RGB in [0, 1]; amount: standard deviation of the shift in each direction, pixels of a face
    of 512 (4 is hardly seen, 10 is a caricature). Generated faces lie on a thin sheet of what faces can be; off it, a
    restorer has to look at the picture instead of at what it knows. Raises ValueError for a negative amount.
    """
    if not amount >= 0:
        raise ValueError(f"the amount must be at least 0, got {amount}")
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    knots = rng.standard_normal((2, WARP_KNOTS, WARP_KNOTS)).astype(np.float32) * np.float32(amount * width / 512)
    dx, dy = (cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC) for one in knots)
    moved = cv2.remap(image, x + dx, y + dy, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(np.clip(moved, 0, 1), np.float32)


def lend_features(image: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some of another face's features in this one: brows, eyes, nose or mouth, at the places of the template.

    image, other: aligned faces (512, 512, 3) float32 RGB in [0, 1]. What is coarser than 24 pixels (light, colour,
    shape) stays; finer detail inside soft ellipses is the other's. For the clean picture: for the same reason as
    ``warp_face``. At least one feature is lent. Raises ValueError for another shape.
    """
    if image.shape != (512, 512, 3) or other.shape != image.shape:
        raise ValueError(f"expected two faces (512, 512, 3), got {image.shape} and {other.shape}")
    chosen = rng.random(len(FEATURES)) < 0.5
    chosen[int(rng.integers(len(FEATURES)))] = True
    mask = np.zeros((512, 512), np.float32)
    for (centres, axes), taken in zip(FEATURES.values(), chosen.tolist(), strict=True):
        for cx, cy in centres if taken else ():
            cv2.ellipse(mask, (cx, cy), axes, 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 7.0)[..., None]
    change = other - image
    coarse = cv2.GaussianBlur(cv2.resize(change, (128, 128), interpolation=cv2.INTER_AREA), (0, 0), 3.0)
    detail = change - cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(image + soft * detail, 0, 1), np.float32)


def sharpen_picture(image: np.ndarray, rng: np.random.Generator, most: float) -> np.ndarray:
    """A crisper camera: an unsharp mask of radius 1 and an amount drawn from [0, ``most``]. For the clean picture.

    image: (H, W, 3) float32 RGB in [0, 1]. Generated faces are softer than photographs: beyond 0.2 cycles a pixel the
    median power of the real portraits of the Face Research Lab London Set is 1.3 to 1.8 times theirs, which an amount
    of 0.4 makes up for. Raises ValueError for a negative amount.
    """
    if not most >= 0:
        raise ValueError(f"the amount must be at least 0, got {most}")
    amount = np.float32(rng.uniform(0, most))
    return np.asarray(np.clip(image + amount * (image - cv2.GaussianBlur(image, (0, 0), 1.0)), 0, 1), np.float32)


def shift_tone(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Contrast, saturation and gamma of another camera: for the clean picture. Exposure and white balance stay.

    image: (H, W, 3) float32 RGB in [0, 1]; amount: standard deviation of the logarithm of each of the three factors
    (0.1 is visible, 0.3 is much). Raises ValueError for a negative amount.
    """
    if not amount >= 0:
        raise ValueError(f"the amount must be at least 0, got {amount}")
    contrast, saturation, gamma = np.exp(rng.normal(0, amount, 3)).astype(np.float32)
    mean = image.mean(dtype=np.float32)
    out = np.clip(mean + (image - mean) * contrast, 0, 1)
    grey = (out @ LUMA)[..., None]
    out = np.clip(grey + (out - grey) * saturation, 0, 1)
    return np.asarray(out**gamma, np.float32)


def draw_ageing(rng: np.random.Generator) -> list[Step]:
    """Steps that make a picture an old print: fading, in half of them grey, grain, scratches. For the degradation.

    Those of the recipe ``old-photo`` that are of the paper, without its blur, size and JPEG: so it can come before any
    recipe. ``fade`` and ``grey`` belong to the target, too (``train.data.TONE``): a restorer does not recolour.
    """

    def number(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 4)

    def seed() -> int:
        return int(rng.integers(0, 2**31))

    steps = [Step("grey", {})] if rng.random() < 0.5 else []
    warm = number(0.0, 0.15)
    tint = [1.0, 1 - warm / 2, 1 - warm]
    steps.append(Step("fade", {"contrast": number(0.55, 0.95), "black": number(0.0, 0.15), "tint": tint}))
    steps.append(Step("paper_grain", {"seed": seed(), "sigma": number(0.01, 0.06), "size": number(0.5, 1.5)}))
    count = int(rng.integers(0, 6))
    steps.append(Step("scratches", {"seed": seed(), "count": count, "strength": number(0.3, 0.9)}))
    return steps


def age(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``draw_ageing``, applied: (H, W, 3) float32 RGB in [0, 1] -> the same shape."""
    return apply_steps(image, draw_ageing(rng))
