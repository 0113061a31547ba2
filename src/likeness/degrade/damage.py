"""Things that happen to the picture: covered, shifted, scratched, printed on paper."""

from __future__ import annotations

import cv2
import numpy as np


def occlude(image: np.ndarray, seed: int, cover: float) -> np.ndarray:
    """Cover about ``cover`` (0 to 0.5) of the area by one to three soft-edged shapes of plain colour."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    count = int(rng.integers(1, 4))
    mask = np.zeros((height, width), np.float32)
    colour = rng.uniform(0.0, 1.0, 3).astype(np.float32)
    for _ in range(count):
        area = cover * height * width / count
        aspect = float(np.exp(rng.uniform(-0.7, 0.7)))
        a, b = np.sqrt(area * aspect / np.pi), np.sqrt(area / aspect / np.pi)
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (max(1, round(a)), max(1, round(b)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None]
    return np.asarray(image * (1.0 - soft) + colour * soft, np.float32)


def misalign(image: np.ndarray, dx: float, dy: float, angle: float, scale: float) -> np.ndarray:
    """Shift by pixels, rotate by ``angle`` degrees and scale about the centre, as a bad alignment does."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += np.array((dx, dy))
    out = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.clip(out, 0.0, 1.0)


def scratches(image: np.ndarray, seed: int, count: int, strength: float) -> np.ndarray:
    """Draw ``count`` thin bright or dark wandering lines and a few specks; ``strength`` 0 to 1 is their opacity."""
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    out = image.copy()
    for _ in range(count):
        points = np.empty((6, 2))
        points[0] = rng.uniform(0, width), rng.uniform(0, height)
        direction = rng.normal(0, 1, 2) * (0.3, 1.0)  # scratches of film and prints run mostly along one side
        for i in range(1, 6):
            step = direction / max(float(np.linalg.norm(direction)), 1e-6) * rng.uniform(0.03, 0.12) * height
            points[i] = points[i - 1] + step + rng.normal(0, 0.008 * width, 2)
        mask = np.zeros((height, width), np.float32)
        path = np.rint(points).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(mask, [path], False, 1.0, int(rng.integers(1, 3)), cv2.LINE_AA)
        out = _lay(out, mask, float(rng.choice([0.95, 0.9, 0.1])), strength)
    mask = np.zeros((height, width), np.float32)
    for _ in range(count * 2):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(mask, centre, int(rng.integers(1, 4)), 1.0, -1, cv2.LINE_AA)
    return _lay(out, mask, 0.92, strength)


def _lay(image: np.ndarray, mask: np.ndarray, value: float, strength: float) -> np.ndarray:
    cover = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None] * np.float32(strength)
    return np.asarray(image * (1.0 - cover) + np.float32(value) * cover, np.float32)


def paper_grain(image: np.ndarray, seed: int, sigma: float, size: float) -> np.ndarray:
    """Multiply by a smooth random texture: standard deviation ``sigma`` (0 to 0.2), grain of ``size`` pixels."""
    rng = np.random.default_rng(seed)
    texture = rng.standard_normal(image.shape[:2], dtype=np.float32)
    if size > 0:
        texture = np.asarray(cv2.GaussianBlur(texture, (0, 0), size), np.float32)
        texture /= max(float(texture.std()), 1e-6)
    return np.asarray(np.clip(image * (1.0 + np.float32(sigma) * texture[..., None]), 0.0, 1.0))
