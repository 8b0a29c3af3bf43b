"""Views drawn and cropped on the device, compared with slices of arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.errors import InputError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_train.data.views import centre_view, draw_crops, draw_views, take_labels, take_views

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 256, (4, 16, 128, 171, 3), np.uint8)
MEAN = (102.0, 98.0, 90.0)


def sliced(clip: np.ndarray, top: int, left: int, mirrored: int) -> np.ndarray:
    """The view of one clip as labels.md says it: crop first, then mirror."""
    view = clip[:, top : top + 112, left : left + 112]
    view = view[:, :, ::-1] if mirrored else view
    return (view.astype(np.float32) - np.float32(MEAN)).transpose(3, 0, 1, 2)


def assert_views_match(views: np.ndarray) -> None:
    frames = FRAMES[np.arange(len(views)) % len(FRAMES)]
    taken = take_views(torch.from_numpy(frames), torch.from_numpy(views), MEAN, DEFAULT_GEOMETRY)
    assert taken.shape == (len(views), 3, 16, 112, 112) and taken.dtype == torch.float32
    for index, view in enumerate(views.tolist()):
        np.testing.assert_array_equal(taken[index].numpy(), sliced(frames[index], *view))


def test_every_view_of_a_table_equals_the_slice() -> None:
    offsets = [(top, left) for top in range(0, 17, 8) for left in (*range(0, 57, 8), 59)]
    table = np.array([(*offset, mirrored) for offset in offsets for mirrored in (0, 1)], np.int16)
    for rows in np.array_split(table, 9):
        assert_views_match(rows)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 16), st.integers(0, 59), st.integers(0, 1)), min_size=1, max_size=4))
def test_any_view_equals_the_slice(views: list[tuple[int, int, int]]) -> None:
    assert_views_match(np.array(views, np.int16))


def test_mirroring_reverses_the_columns_of_the_same_crop() -> None:
    frames = torch.zeros((2, 16, 128, 171, 3), dtype=torch.uint8)
    frames[:, :, 20, 7] = 200  # row 20, column 7 of the frame: (15, 2) in a crop at (5, 5)
    plain, mirrored = take_views(frames, torch.tensor([[5, 5, 0], [5, 5, 1]]), (0, 0, 0), DEFAULT_GEOMETRY)
    assert plain.nonzero()[0].tolist() == [0, 0, 15, 2] and plain.count_nonzero() == 3 * 16
    assert mirrored.nonzero()[0].tolist() == [0, 0, 15, 111 - 2] and mirrored.count_nonzero() == 3 * 16


@pytest.mark.parametrize(
    ("frames", "views"),
    [((2, 16, 112, 112, 3), (2, 3)), ((2, 15, 128, 171, 3), (2, 3)), ((2, 16, 128, 171, 3), (1, 3))],
)
def test_wrong_shapes_are_refused(frames: tuple[int, ...], views: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected frames"):
        take_views(
            torch.zeros(frames, dtype=torch.uint8),
            torch.zeros(views, dtype=torch.int64),
            MEAN,
            DEFAULT_GEOMETRY,
        )


def test_labels_are_those_of_the_view_drawn() -> None:
    labels = torch.arange(3 * 5 * 27).reshape(3, 5, 27)
    picked = take_labels(labels, torch.tensor([4, 0, 2]))
    assert picked[:, 0].tolist() == [4 * 27, 5 * 27, (10 + 2) * 27] and picked.shape == (3, 27)
    with pytest.raises(InputError, match="expected labels"):
        take_labels(labels, torch.tensor([0]))


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(0, 500), st.integers(1, 300), st.permutations(range(20)))
def test_a_draw_depends_on_seed_epoch_and_clip_alone(
    seed: int, epoch: int, views: int, order: list[int]
) -> None:
    together = draw_views(seed, epoch, torch.arange(20), views)
    shuffled = draw_views(seed, epoch, torch.tensor(order), views)
    alone = torch.cat([draw_views(seed, epoch, torch.tensor([clip]), views) for clip in order])
    assert torch.equal(shuffled, together[order]) and torch.equal(alone, shuffled)
    assert int(together.min()) >= 0 and int(together.max()) < views


def test_draws_are_uniform_and_change_with_seed_epoch_and_clip() -> None:
    clips = torch.arange(48_000)
    first, other_epoch, other_seed = (draw_views(*key, clips, 48) for key in ((0, 0), (0, 1), (1, 0)))
    for drawn in (first, other_epoch, other_seed):
        counts = torch.bincount(drawn, minlength=48).double()
        assert float(((counts - 1000) ** 2 / 1000).sum()) < 100  # chi squared, 47 degrees: 5 sigma is 95
    for pair in ((first, other_epoch), (first, other_seed), (first[1:], first[:-1])):
        assert abs(float((pair[0] == pair[1]).double().mean()) - 1 / 48) < 0.005


def test_views_of_another_geometry_equal_the_slices() -> None:
    geometry = Geometry(clip_frames=5, frame_rows=33, frame_cols=50, view_size=32, grid_block=8, ring_width=4)
    crops = draw_crops(1, 2, torch.arange(200), geometry)
    assert crops.max(dim=0).values.tolist() == [1, 18, 1] and centre_view(geometry) == (0, 9, 0)
    frames = torch.from_numpy(RNG.integers(0, 256, (200, *geometry.clip_shape), np.uint8))
    taken = take_views(frames, crops, (0, 0, 0), geometry)
    assert taken.shape == (200, 3, 5, 32, 32)
    for clip, (top, left, mirrored) in enumerate(crops.tolist()):
        view = frames[clip, :, top : top + 32, left : left + 32]
        assert torch.equal(taken[clip], (view.flip(2) if mirrored else view).permute(3, 0, 1, 2).float())
    with pytest.raises(InputError, match=r"expected frames \(B, 16, 128, 171, 3\)"):
        take_views(frames, crops, (0, 0, 0), DEFAULT_GEOMETRY)
