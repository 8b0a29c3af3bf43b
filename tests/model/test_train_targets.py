"""Targets: labels of the paper's tables, coding and decoding, losses, the best constant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mas_labels.errors import DatasetError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.labels.patterns import block_maps
from mas_labels.schema import APPEARANCE_NAMES, LABEL_NAMES, MOTION_NAMES, ORIENTATION_NAMES
from mas_train.codings import LABEL_CODINGS
from mas_train.model.heads import Predictions
from mas_train.model.label_codes import LabelCode
from mas_train.model.loss import constant_losses, mean_label_losses, pretext_loss
from mas_train.model.targets import TargetCode, count_label_values
from mas_train.recipe import TARGETS, make_recipe

CODES = [(scale, coding) for scale in ("raw", "standard") for coding in LABEL_CODINGS]
LABEL_ROWS = arrays(np.uint8, (7, 3, 27), elements=st.integers(1, 255)).map(
    lambda drawn: (drawn % np.array(DEFAULT_GEOMETRY.label_max, np.uint8) + 1).astype(np.uint8)
)
"""(7, 3, 27): labels of 7 clips of 3 views, each from 1 to its largest value."""


def make_code(
    scale: str, coding: str, counts: torch.Tensor | None = None, targets: str = "joint"
) -> TargetCode:
    return TargetCode(make_recipe("ucf101", targets=targets, target_scale=scale, coding=coding), counts)


def test_targets_are_the_rows_of_the_papers_tables() -> None:
    sizes = {name: len(labels) for name, labels in TARGETS.items() if name != "pace"}
    by_hand = {"joint": 27, "motion": 14, "appearance": 13, "motion-local": 12, "motion-global": 2}
    assert sizes == by_hand | {"motion-grid": 4, "motion-rings": 4, "motion-triangles": 4}
    assert TARGETS["motion-rings"] == ("rings_ul", "rings_uo", "rings_vl", "rings_vo")
    assert set(TARGETS["motion-local"]) | set(TARGETS["motion-global"]) == set(MOTION_NAMES)
    named = [labels for name, labels in TARGETS.items() if name != "pace"]
    assert all(list(labels) == sorted(labels, key=LABEL_NAMES.index) for labels in named)
    assert sum(name in ORIENTATION_NAMES for name in LABEL_NAMES) == 6


def test_loss_by_hand() -> None:
    predictions = Predictions(torch.full((2, 14), 3.0), torch.full((2, 13), 1.0))
    labels = torch.ones((2, 27), dtype=torch.uint8)
    labels[0, 0] = 10  # (3 - 10)^2 = 49 once, (3 - 1)^2 = 4 for the other 27 motion labels
    labels[1, 26] = 5  # (1 - 5)^2 = 16 once, 0 for the other 25 appearance labels
    code = make_code("raw", "number")
    losses = pretext_loss(predictions, labels, code, motion_weight=1.0, appearance_weight=0.1)
    motion, appearance = (49 + 27 * 4) / 28, 16 / 26
    assert losses.motion.item() == pytest.approx(motion)
    assert losses.appearance.item() == pytest.approx(appearance)
    assert losses.total.item() == pytest.approx(motion + 0.1 * appearance)


def test_target_codings_by_hand() -> None:
    names = ("grid_ul", "grid_uo", "ui")
    labels = torch.zeros(1, 27, dtype=torch.uint8)
    labels[0, 0], labels[0, 1], labels[0, 12] = 16, 3, 7  # bin 3 is 90 to 135 degrees: its middle 112.5
    half = np.deg2rad(112.5)
    numbers, pairs, classes = (LabelCode(names, coding) for coding in ("number", "sin-cos", "classes"))
    assert numbers.encode(labels).tolist() == [[16, 3, 7]]
    assert pairs.encode(labels)[0].tolist() == pytest.approx([16, 7, np.sin(half), np.cos(half)])
    assert (numbers.outputs, pairs.outputs, classes.outputs) == (3, 4, 10)
    at_zero = pairs.losses(torch.zeros(1, 4), labels)[0].tolist()
    assert at_zero == pytest.approx([256, 0.5, 49])  # (sin^2 + cos^2) / 2, in the order of the names
    even = classes.losses(torch.zeros(1, 10), labels)[0].tolist()
    assert even == pytest.approx([256, np.log(8), 49])


def test_recoded_labels_by_hand() -> None:
    names = ("grid_ul", "rings_ul", "triangles_ul", "grid_uo", "ui", "C")
    labels = torch.ones(2, 27, dtype=torch.uint8)
    for name, values in zip(names, [(7, 4), (3, 1), (1, 7), (3, 7), (15, 2), (7, 2)], strict=True):
        labels[:, LABEL_NAMES.index(name)] = torch.tensor(values, dtype=torch.uint8)
    code = LabelCode(names, "recoded")
    # triangle 1 is the left one above the centre, at 157.5 degrees, 7 the right one of the two at the bottom
    left, bottom, bin_3 = np.deg2rad([157.5, 292.5, 2 * 112.5])
    firsts, seconds = (1, np.sin(left), np.sin(bin_3)), (2, np.cos(left), np.cos(bin_3))
    row, other = code.encode(labels).tolist()
    assert row == pytest.approx([3, 15, *firsts, *seconds, 1, 1, 0], abs=1e-6)  # yellow is R and G
    # block 4 is the last of the first row; 7 is the direction opposite to 3, on the same axis; blue
    firsts, seconds = (0, np.sin(bottom), np.sin(bin_3)), (3, np.cos(bottom), np.cos(bin_3))
    assert other == pytest.approx([1, 2, *firsts, *seconds, 0, 0, 1], abs=1e-6)
    assert code.losses(torch.zeros(1, 11), labels[:1])[0].tolist() == pytest.approx(
        [(1 + 4) / 2, 9, 0.5, 0.5, 225, 2 / 3]
    )
    assert code.decode(code.encode(labels)).tolist() == [[7, 3, 1, 3, 15, 7], [4, 1, 7, 3, 2, 2]]


@pytest.mark.parametrize(("width", "block"), [(112, 28), (64, 8)])
def test_blocks_of_the_grid_and_triangles_are_coded_by_where_they_are(width: int, block: int) -> None:
    """Numbers of two blocks differ as the blocks' middles do."""
    geometry = Geometry(view_size=width, grid_block=block, ring_width=4)
    maps = block_maps(geometry)
    row, col = np.indices((width, width))
    for pattern in ("grid", "triangles"):
        numbers = range(1, geometry.blocks[pattern] + 1)
        middles = [(row[maps[pattern] == n].mean(), col[maps[pattern] == n].mean()) for n in numbers]
        labels = torch.ones(len(numbers), 27, dtype=torch.int64)
        labels[:, LABEL_NAMES.index(f"{pattern}_ul")] = torch.tensor(numbers)
        coded = LabelCode([f"{pattern}_ul"], "recoded", geometry).encode(labels).numpy()
        if pattern == "grid":
            np.testing.assert_allclose(coded * block + (block - 1) / 2, middles)
        else:  # counter-clockwise on the screen, from the right
            centre = (width - 1) / 2
            angles = [np.arctan2(centre - y, x - centre) for y, x in middles]
            turned = np.arctan2(coded[:, 0], coded[:, 1]) - angles
            assert np.abs(np.exp(1j * turned) - 1).max() < 0.1


def test_only_sine_and_cosine_keep_neighbouring_orientations_close() -> None:
    labels = torch.ones(3, 27, dtype=torch.uint8)
    labels[:, 1] = torch.tensor([1, 8, 5])
    for orientation, near in (("number", False), ("sin-cos", True)):
        first, eighth, fifth = LabelCode(["grid_uo"], orientation).encode(labels)
        assert ((first - eighth).norm() < (first - fifth).norm()).item() is near


def test_a_motionless_grid_of_the_authors_is_bin_one() -> None:
    still, one = torch.zeros(1, 27), torch.ones(1, 27)
    for orientation in ("sin-cos", "axis", "classes"):
        code = LabelCode(["grid_uo"], orientation)
        outputs = torch.randn(1, code.outputs)
        assert torch.equal(code.losses(outputs, still), code.losses(outputs, one))


@settings(max_examples=20)
@given(LABEL_ROWS, st.sampled_from(CODES))
def test_decoding_inverts_encoding(labels: np.ndarray, coded_as: tuple[str, str]) -> None:
    code = make_code(*coded_as, counts=count_label_values([labels]))
    rows = torch.from_numpy(labels.reshape(-1, 27))
    for branch in code.branches:
        scores = torch.nn.functional.one_hot(rows[:, branch.columns].long() - 1, 16)[..., :8]
        outputs = torch.cat([branch.encode(rows), scores[:, branch.classified].flatten(1).float()], dim=1)
        assert outputs.shape[1] == branch.outputs
        expected = rows[:, branch.columns].long()
        if coded_as[1] in ("axis", "recoded"):  # opposite orientations are one axis: the lower is named
            is_upper = torch.tensor([name in ORIENTATION_NAMES for name in branch.names]) & (expected > 4)
            expected = torch.where(is_upper, expected - 4, expected)
        assert torch.equal(branch.decode(outputs), expected)
        assert (branch.hits(outputs, rows) == 1).all()


def test_decoded_values_are_in_range() -> None:
    for orientation in LABEL_CODINGS:
        for branch in make_code("raw", orientation).branches:
            decoded = branch.decode(torch.randn(50, branch.outputs) * 100)
            largest = torch.tensor(DEFAULT_GEOMETRY.label_max)[branch.columns]
            assert (decoded >= 1).all() and (decoded <= largest).all() and (decoded == largest).any()


@settings(max_examples=20)
@given(LABEL_ROWS)
def test_standard_targets_have_mean_0_and_deviation_1(labels: np.ndarray) -> None:
    code = make_code("standard", "number", count_label_values([labels]))
    rows = torch.from_numpy(labels.reshape(-1, 27))
    targets = torch.cat([branch.encode(rows) for branch in code.branches], dim=1).double()
    varies = (rows != rows[0]).any(dim=0)
    torch.testing.assert_close(targets.mean(dim=0), torch.zeros(27).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(targets.std(dim=0, correction=0), varies.double(), atol=1e-4, rtol=0)


def test_mean_label_loss_by_hand() -> None:
    labels = np.ones((2, 2, 27), np.uint8)
    labels[:, :, 0] = [[1, 3], [5, 7]]  # variance 5
    labels[0, 0, 14] = 3  # mean 1.5, variance 0.75
    counts = count_label_values([labels[0], labels[1:]])
    losses = mean_label_losses(make_code("raw", "number"), counts, appearance_weight=2.0)
    assert losses.motion.item() == pytest.approx(5 / 14)
    assert losses.appearance.item() == pytest.approx(0.75 / 13)
    assert losses.total.item() == pytest.approx(5 / 14 + 2 * 0.75 / 13)
    standard = mean_label_losses(make_code("standard", "number", counts), counts)
    assert standard.motion.item() == pytest.approx(1 / 14)  # one label varies, by 1


@settings(max_examples=20)
@given(LABEL_ROWS, st.sampled_from(CODES), st.integers(0, 99))
def test_mean_label_loss_is_the_loss_of_the_best_constant(
    labels: np.ndarray, coded_as: tuple[str, str], seed: int
) -> None:
    counts = count_label_values(iter(labels))
    code = make_code(*coded_as, counts=counts)
    rows = torch.from_numpy(labels.reshape(-1, 27))
    constants = [branch.best_constant(counts) for branch in code.branches]
    noise = torch.Generator().manual_seed(seed)
    best = pretext_loss(Predictions(*(c.expand(len(rows), -1) for c in constants)), rows, code)
    assert mean_label_losses(code, counts).total.item() == pytest.approx(
        best.total.item(), rel=1e-4, abs=1e-5
    )
    for branch, constant in zip(code.branches, constants, strict=True):
        moved = constant + 0.3 * torch.randn(constant.shape, generator=noise)
        there, here = (constant_losses(branch, at, counts) for at in (moved, constant))
        assert (there >= here - 1e-5).all()


def test_motion_alone_and_appearance_alone() -> None:
    labels = np.random.default_rng(0).integers(1, 5, (20, 2, 27), np.uint8)
    counts = count_label_values([labels])
    joint = mean_label_losses(make_code("raw", "number"), counts)
    motion = mean_label_losses(make_code("raw", "number", targets="motion"), counts)
    appearance = mean_label_losses(make_code("raw", "number", targets="appearance"), counts)
    assert motion.motion == joint.motion and motion.appearance == 0 and motion.total == joint.motion
    assert appearance.appearance == joint.appearance and appearance.motion == 0
    assert [len(branch.names) for branch in make_code("raw", "number", targets="appearance").branches] == [
        *(0, len(APPEARANCE_NAMES))
    ]


def test_losses_of_16_bit_outputs_are_computed_in_float32() -> None:
    code = make_code("raw", "classes")
    predictions = Predictions(*(torch.zeros(2, b.outputs, dtype=torch.bfloat16) for b in code.branches))
    assert pretext_loss(predictions, torch.ones(2, 27), code).total.dtype == torch.float32


def test_labels_out_of_range_are_refused() -> None:
    with pytest.raises(DatasetError, match="no clips"):
        count_label_values([])
    labels = np.ones((1, 27), np.uint8)
    labels[0, 4] = 5  # rings_ul is 4 at most
    with pytest.raises(DatasetError, match="rings_ul is out of range"):
        count_label_values([labels])


def test_labels_of_larger_ranges_are_counted_and_decoded() -> None:
    fine = Geometry(clip_frames=32, grid_block=8, ring_width=4)
    labels = np.array([fine.label_max], np.uint8)
    assert labels.max() == 196
    code = TargetCode(make_recipe("ucf101", target_scale="standard"), geometry=fine)
    counts = count_label_values([labels, labels - 1], fine)
    code.standardise(counts)
    assert counts.shape == (197, 27) and counts.sum() == 2 * 27
    total = mean_label_losses(code, counts).total
    assert total.item() == pytest.approx(2)  # of each branch the variance, 1
    for branch in code.branches:
        far = torch.full((1, branch.outputs), 1e6)
        assert branch.decode(far).tolist() == [[fine.label_max[column] for column in branch.columns]]
    with pytest.raises(DatasetError, match="grid_ul is out of range"):
        count_label_values([labels])
