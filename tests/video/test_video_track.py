"""Following faces, with a detector that sees bright squares."""

from __future__ import annotations

import json

import cv2
import numpy as np

from likeness.faces import FFHQ_TEMPLATE, Face
from likeness.video.track import Tracker, overlap


class Squares:
    """Finds squares of more than 12 pixels that are brighter than 200; the aligned square is 1.5 times as large."""

    name = "squares"

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def detect(self, pixels: np.ndarray) -> list[Face]:
        self.sizes.append(pixels.shape[:2])
        bright = (pixels[..., 0] > 200).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        faces = []
        for x, y, width, height, _ in stats[1:].astype(float):
            if min(width, height) > 12 and 0.8 < width / height < 1.25:
                side = (width + height) / 2
                centre = (x + width / 2 - 0.5, y + height / 2 - 0.5)
                points = (FFHQ_TEMPLATE - 255.5) * 1.5 * side / 512 + centre
                faces.append(Face.from_landmarks((x, y, x + width, y + height), points, 1.0, FFHQ_TEMPLATE))
        return sorted(faces, key=lambda face: (-face.area, face.box[0]))


def scene(*squares: tuple[float, float, int]) -> np.ndarray:
    """(240, 400, 3), black with white squares at x, y with a side."""
    pixels = np.zeros((240, 400, 3), np.uint8)
    for x, y, side in squares:
        pixels[int(y) : int(y) + side, int(x) : int(x) + side] = 255
    return pixels


def follow(tracker: Tracker, frames: list[np.ndarray], start: int = 0) -> list[dict[int, bool]]:
    """Numbers of the tracks of each frame, and whether they were found."""
    return [
        {track.number: found for track, found in tracker.follow(frame, k / 30)} for k, frame in enumerate(frames, start)
    ]


def tracker(every: int = 5, hold: int = 3, state: dict | None = None) -> Tracker:
    return Tracker(Squares(), every, hold, True, state)


def test_two_faces_that_cross_the_picture_stay_two_tracks() -> None:
    frames = [scene((20 + 4 * k, 30, 60), (300 - 4 * k, 140, 50)) for k in range(40)]
    assert follow(tracker(), frames) == [{1: True, 2: True}] * 40


def test_between_two_searches_only_the_surroundings_are_looked_at() -> None:
    follower = tracker(every=5)
    follow(follower, [scene((100 + k, 80, 60)) for k in range(11)])
    sizes = follower.detector.sizes
    assert sizes.count((240, 400)) == 3  # frames 0, 5 and 10
    assert max(side for size in sizes if size != (240, 400) for side in size) <= 256


def test_a_short_gap_is_bridged_and_a_long_one_ends_the_track() -> None:
    def moving(k: int) -> np.ndarray:
        return scene((60 + 3 * k, 80, 60))

    gap = [moving(k) if not 6 <= k < 9 else scene() for k in range(15)]
    seen = follow(tracker(hold=3), gap)
    assert seen[5:10] == [{1: True}, {1: False}, {1: False}, {1: False}, {1: True}]
    long = [moving(k) if not 6 <= k < 11 else scene() for k in range(20)]
    seen = follow(tracker(hold=3), long)
    assert seen[9] == {}
    assert seen[-1] == {2: True}


def test_what_was_seen_once_is_not_held() -> None:
    assert follow(tracker(hold=5), [scene((60, 80, 60)), scene(), scene()]) == [{1: True}, {}, {}]


def test_a_lost_face_is_expected_where_it_was_going() -> None:
    follower = tracker(hold=5)
    for k in range(12):
        (track, _), *_ = follower.follow(scene((60 + 4 * k, 80, 60)), k / 30)
    x = track.values[0]
    (track, found), *_ = follower.follow(scene(), 12 / 30)
    assert not found
    assert 2.0 < track.values[0] - x < 5.0
    assert track.face().box[2] > track.face().box[0]


def test_a_cut_ends_all_tracks_and_searches_at_once() -> None:
    follower = tracker(every=100)
    assert follow(follower, [scene((60, 80, 60))] * 3)[-1] == {1: True}
    follower.cut()
    assert follow(follower, [scene((62, 80, 60), (200, 80, 50))] * 2, 3) == [{2: True, 3: True}] * 2


def test_it_goes_on_from_its_state_exactly() -> None:
    frames = [scene((60 + 3 * k, 80 + (k % 3), 60 + k % 2), (300 - k, 30, 40)) for k in range(20)]
    whole, first = tracker(), tracker()
    wanted = [[t.values.tolist() for t, _ in whole.follow(f, k / 30)] for k, f in enumerate(frames)]
    for k, frame in enumerate(frames[:8]):
        first.follow(frame, k / 30)
    second = tracker(state=json.loads(json.dumps(first.state)))
    got = [[t.values.tolist() for t, _ in second.follow(f, k / 30)] for k, f in enumerate(frames[8:], 8)]
    assert got == wanted[8:]


def test_overlap_of_boxes() -> None:
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == 1 / 7
    assert overlap((0, 0, 2, 2), (2, 0, 3, 2)) == 0.0
