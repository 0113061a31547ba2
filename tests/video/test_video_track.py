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
    """(240, 400, 3), black with squares at x, y with a side; a chequered pattern in white and nearly white on each."""
    pixels = np.zeros((240, 400, 3), np.uint8)
    for x, y, side in squares:
        row, column = np.mgrid[0:side, 0:side] * 16 // side
        pixels[int(y) : int(y) + side, int(x) : int(x) + side] = (255 - 50 * ((row * 7 + column * 3) % 5 < 2))[
            ..., None
        ]
    return pixels


def darkened(pixels: np.ndarray) -> np.ndarray:
    """The same, too dark for the detector."""
    return (pixels * 0.7).astype(np.uint8)


def follow(tracker: Tracker, frames: list[np.ndarray], start: int = 0) -> list[dict[int, bool]]:
    """Numbers of the tracks of each frame, and whether they were found."""
    return [
        {track.number: found for track, found in tracker.follow(frame, k, k / 30)}
        for k, frame in enumerate(frames, start)
    ]


def tracker(every: int = 5, hold: float = 1.0, state: dict | None = None) -> Tracker:
    return Tracker(Squares(), every, hold, state)


def moving(k: int) -> np.ndarray:
    return scene((60 + 3 * k, 80, 60))


def test_two_faces_that_cross_the_picture_stay_two_tracks() -> None:
    frames = [scene((20 + 4 * k, 30, 60), (300 - 4 * k, 140, 50)) for k in range(40)]
    assert follow(tracker(), frames) == [{1: True, 2: True}] * 40


def test_between_two_searches_only_the_surroundings_are_looked_at() -> None:
    follower = tracker(every=5)
    follow(follower, [scene((100 + k, 80, 60)) for k in range(11)])
    sizes = follower.detector.sizes
    assert sizes.count((240, 400)) == 3  # frames 0, 5 and 10
    assert max(side for size in sizes if size != (240, 400) for side in size) <= 256


def test_a_face_that_the_detector_loses_is_followed_by_flow_for_a_second() -> None:
    follower = tracker(hold=0.5)
    frames = [moving(k) if k < 20 else darkened(moving(k)) for k in range(50)]
    seen = follow(follower, frames)
    assert seen[19:35] == [{1: True}] + [{1: False}] * 15
    assert seen[35:] == [{}] * 15
    (track,) = follower.end()
    assert (track.first, track.last) == (0, 34)
    steps = np.diff(np.array(track.path), axis=0)
    np.testing.assert_allclose(steps[20:, 0], 3.0, atol=0.05)  # exactly where it went


def test_a_face_that_is_hidden_is_guessed_for_a_few_frames() -> None:
    seen = follow(tracker(), [moving(k) if not 8 <= k < 11 else scene() for k in range(15)])
    assert seen[7:12] == [{1: True}, {1: False}, {1: False}, {1: False}, {1: True}]
    follower = tracker()
    seen = follow(follower, [moving(k) if not 8 <= k < 17 else scene() for k in range(26)])
    assert seen[15] == {}
    assert seen[-1] == {2: True}
    assert [(t.first, t.last) for t in follower.end()] == [(0, 7), (17, 25)]  # guesses at the end are taken back


def test_a_new_face_is_followed_back_to_before_it_was_found() -> None:
    follower = tracker()
    follow(follower, [darkened(moving(k)) if k < 13 else moving(k) for k in range(40)])
    (track,) = follower.end()
    assert track.first == 0
    assert track.how[:16] == [0] * 15 + [1]  # found with the search of frame 15
    where = np.array(track.path)[:, 0] - track.found[15][0]
    np.testing.assert_allclose(where[:15], 3.0 * np.arange(-15, 0), atol=0.3)


def test_a_lost_face_that_is_found_again_is_the_same_track() -> None:
    follower = tracker(hold=0.4)
    frames = [darkened(moving(k)) if 20 <= k < 40 else moving(k) for k in range(70)]
    seen = follow(follower, frames)
    assert seen[35] == {}
    (track,) = follower.end()
    assert (track.number, track.first, track.last) == (1, 0, 69)
    _, path, found = track.arrays()
    away = (path - found)[np.isfinite(found[:, 0]), 0]
    assert np.abs(away).max() < 1.0  # no jump where the two were joined


def test_what_is_something_else_is_not_followed() -> None:
    other = scene((60 + 3 * 20, 80, 60))[:, :, :] // 3
    frames = [moving(k) for k in range(20)] + [np.roll(other[::-1], 0, axis=1)] * 20
    follower = tracker()
    follow(follower, frames)
    (track,) = follower.end()
    assert track.last == 19


def test_what_was_seen_once_is_not_held() -> None:
    assert follow(tracker(), [moving(0), darkened(moving(1)), darkened(moving(2))]) == [{1: True}, {}, {}]
    late = tracker(every=1)
    follow(late, [darkened(moving(0)), darkened(moving(1)), moving(2), scene()])
    (track,) = late.end()
    assert (track.first, track.last) == (2, 2)


def test_a_lost_face_is_expected_where_it_was_going() -> None:
    follower = tracker()
    for k in range(12):
        (track, _), *_ = follower.follow(scene((60 + 4 * k, 80, 60)), k, k / 30)
    x = track.values[0]
    (track, found), *_ = follower.follow(scene(), 12, 12 / 30)
    assert not found
    assert 2.0 < track.values[0] - x < 5.0


def test_a_cut_ends_all_tracks_and_searches_at_once() -> None:
    follower = tracker(every=100)
    assert follow(follower, [scene((60, 80, 60))] * 3)[-1] == {1: True}
    follower.cut()
    assert follow(follower, [scene((62, 80, 60), (200, 80, 50))] * 2, 3) == [{2: True, 3: True}] * 2


def test_it_goes_on_from_its_state_exactly() -> None:
    frames = [scene((60 + 3 * k, 80 + (k % 3), 60 + k % 2), (300 - k, 30, 40)) for k in range(20)]
    frames = [darkened(frame) if 6 <= k < 14 else frame for k, frame in enumerate(frames)]
    whole, first = tracker(), tracker()
    follow(whole, frames)
    follow(first, frames[:8])
    second = tracker(state=json.loads(json.dumps(first.state)))
    for k, frame in enumerate(frames[:8]):
        second.remember(frame, k, k / 30)
    follow(second, frames[8:], 8)
    assert [t.as_dict() for t in second.end()] == [t.as_dict() for t in whole.end()]


def test_overlap_of_boxes() -> None:
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == 1 / 7
    assert overlap((0, 0, 2, 2), (2, 0, 3, 2)) == 0.0
