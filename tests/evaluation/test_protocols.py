"""The protocols of the paper's section 4 as functions of arrays, against independent computations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_train.evaluation.accuracy import draw_confusion, video_accuracy
from mas_train.evaluation.aslan import draw_roc, evaluate_pairs, similarities
from mas_train.evaluation.aslan_pairs import Pairs, read_view1, read_view2
from mas_train.evaluation.attention import AttentionRow, attention_maps, draw_attention
from mas_train.evaluation.features import VideoMeans
from mas_train.evaluation.retrieval import NEIGHBOURS, nearest_videos, retrieval_accuracy
from mas_train.evaluation.yupenn import leave_one_out

NONE = np.array([], np.int64)

# accuracy


def test_clips_are_averaged_by_video() -> None:
    values = np.array([[1.0, 0], [3, 4], [5, 6], [1, 1]])
    means = VideoMeans(np.array([0, 0, 0, 1]), 2)
    means.add([3, 0], values[[3, 0]])
    means.add([1, 2], values[[1, 2]])
    np.testing.assert_allclose(means.result(), [[3.0, 10 / 3], [1, 1]])
    with pytest.raises(InputError, match="expected clips of videos 0 to 2"):
        VideoMeans(np.array([0, 0, 2, 2]), 3)
    with pytest.raises(InputError, match="expected values"):
        means.add([0], values)


def test_a_planted_structure_gives_the_accuracy_it_must() -> None:
    """Of 40 videos in 8 classes 28 are right, 6 more are second to fifth, 6 are last; 10 failed."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(8), 5)
    scores = rng.uniform(0, 1, (40, 8))
    places = rng.permutation([0] * 28 + [1, 2, 3, 4, 4, 4] + [7] * 6)
    for row, (video, place) in enumerate(zip(truth, places, strict=True)):
        ranked = np.sort(scores[row])[::-1]
        others = [c for c in range(8) if c != video]
        scores[row, video] = ranked[place]
        scores[row, others] = rng.permutation(np.delete(ranked, place))
    found = video_accuracy(scores, truth, np.array([0] * 5 + [-1] * 5))
    assert (found.videos, found.failed) == (50, 10)
    assert found.top1 == 28 / 50 and found.top5 == 34 / 50
    right = np.bincount(truth[places == 0], minlength=8)
    np.testing.assert_allclose(found.per_class, right / [10, 5, 5, 5, 5, 5, 5, 5])
    assert found.confusion[:, 8].tolist() == [5, 0, 0, 0, 0, 0, 0, 0]
    assert found.confusion.sum() == 45 and np.trace(found.confusion) == 28


def test_a_class_without_videos_has_no_accuracy_and_ties_go_to_the_lower_number() -> None:
    found = video_accuracy(np.zeros((2, 3)), np.array([0, 1]), NONE)
    assert found.top1 == 0.5 and found.top5 == 1.0
    assert found.per_class[:2].tolist() == [1, 0] and math.isnan(found.per_class[2])


@pytest.mark.parametrize(
    ("scores", "truth", "says"),
    [
        (np.full((1, 2), np.nan), [0], "finite"),
        (np.zeros((1, 2)), [2], "classes 0 to 1, found 2"),
        (np.zeros((1, 2)), [-1], "classes 0 to 1, found -1"),
        (np.zeros((1, 2)), [0, 1], "expected scores"),
        (np.zeros((0, 2)), [], "found none"),
    ],
)
def test_scores_that_make_no_sense_are_refused(
    scores: NDArray[np.float64], truth: list[int], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        video_accuracy(scores, np.array(truth, np.int64), NONE)


# retrieval


def test_retrieval_of_planted_directions() -> None:
    """Each class is one direction, so lengths do not matter; a third class is not in the gallery."""
    gallery = np.array([[9.0, 0.1], [1, 0], [0, 3], [0.1, 8]])
    found = retrieval_accuracy(
        gallery, np.array([0, 0, 1, 1]), np.array([[0.01, 0], [0, 100.0], [1, 0]]), np.array([0, 1, 2]), 1
    )
    assert found == dict.fromkeys(NEIGHBOURS, 0.5)


def test_the_nearest_videos_by_hand() -> None:
    gallery = np.array([[0, 1], [1, 0], [2, 0.1], [-1, 0]], float)
    found = nearest_videos(gallery, np.array([[3, 0], [0, -1]], float), 3)
    assert found.tolist() == [[1, 2, 0], [1, 3, 2]]  # of equally near ones the earlier
    assert nearest_videos(gallery[:2], gallery, 3).shape == (4, 2)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 70), st.integers(1, 20), st.integers(2, 6))
def test_retrieval_equals_a_naive_loop(seed: int, gallery: int, queries: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    g, q = rng.uniform(0, 1, (gallery, 5)), rng.uniform(0, 1, (queries, 5))
    gc, qc = rng.integers(0, classes, gallery), rng.integers(0, classes, queries)
    hits = dict.fromkeys(NEIGHBOURS, 0)
    for vector, wanted in zip(q, qc, strict=True):
        cosines = [float(v @ vector / math.sqrt((v @ v) * (vector @ vector))) for v in g]
        order = sorted(range(gallery), key=lambda i: -cosines[i])
        for k in NEIGHBOURS:
            hits[k] += any(gc[i] == wanted for i in order[:k])
    assert retrieval_accuracy(g, gc, q, qc) == {k: n / queries for k, n in hits.items()}


# ASLAN


def test_the_12_similarities_by_hand() -> None:
    """x1 = (4, 1, 0), x2 = (1, 4, 0): sums 5, so both are divided by 5 for the last four."""
    expected = [
        8,
        math.sqrt(8),
        math.sqrt(2 + 2),
        math.sqrt(4 / 5 + 4 / 5),
        8 / 17,
        math.sqrt(9 / 5 + 9 / 5),
        6,
        math.sqrt(1 + 1),
        math.sqrt(2 * 0.36),
        (0.8 * math.log(4) + 0.2 * math.log(1 / 4) + 0.2 * math.log(1 / 4) + 0.8 * math.log(4)) / 2,
        2 * math.sqrt(0.8),
        0.4,
    ]
    found = similarities(np.array([[4.0, 1, 0]]), np.array([[1.0, 4, 0]]))
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_zeros_count_0_and_logarithms_stay_finite() -> None:
    x1, x2 = np.array([[0.0, 2, 0], [0, 0, 0]]), np.array([[3.0, 0, 0], [1, 0, 1]])
    found = similarities(x1, x2)
    assert np.isfinite(found).all()
    assert found[0, [0, 1, 2, 3, 4, 11]].tolist() == [0] * 6
    assert found[0, 9] == pytest.approx(math.log(1e10))  # the two logarithms, each of 1 / 1e-10
    np.testing.assert_array_equal(similarities(np.zeros((1, 3)), np.zeros((1, 3))), np.zeros((1, 12)))


@given(hnp.arrays(np.float64, (4, 7), elements=st.floats(0, 1e3)))
def test_similarities_are_symmetric_and_a_vector_is_most_like_itself(vectors: NDArray[np.float64]) -> None:
    first, second = vectors[:2], vectors[2:]
    forth, back = similarities(first, second), similarities(second, first)
    np.testing.assert_allclose(forth, back, rtol=1e-9, atol=1e-9)
    itself = similarities(first, first)
    np.testing.assert_allclose(itself[:, [5, 6, 7, 8, 9]], 0, atol=1e-9)
    assert (itself[:, 4] >= forth[:, 4] - 1e-9)[first.any(axis=1)].all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_features_before_the_relu_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="after the ReLU"):
        similarities(np.array([[bad]]), np.array([[1.0]]))


def planted_pairs(seed: int, splits: int = 4, each: int = 30, noise: float = 0.6) -> tuple[dict, Pairs]:
    """Samples of 12 actions, noisy non-negative vectors; half of the pairs are of one action."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (12, 10))
    action = rng.integers(0, 12, 120)
    features = {i: np.abs(centres[action[i]] + noise * rng.standard_normal(10)) for i in range(120)}
    first, second = rng.integers(0, 120, (2, 40_000))
    same = action[first] == action[second]
    chosen = []
    for wanted in (True, False):
        chosen.append(np.flatnonzero((same == wanted) & (first != second))[: splits * each])
    rows = np.stack([part.reshape(splits, each) for part in chosen], axis=1).ravel()
    return features, Pairs(first[rows], second[rows], same[rows], np.repeat(np.arange(splits), 2 * each))


def test_ten_fold_svm_and_auc_equal_scikit_learn_used_directly() -> None:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler
    from sklearn.svm import SVC

    features, pairs = planted_pairs(0)
    found = evaluate_pairs(features, pairs)
    matrix = Normalizer().fit_transform(np.stack(list(features.values())))
    table = similarities(matrix[pairs.first], matrix[pairs.second])
    machine = make_pipeline(StandardScaler(), SVC(kernel="linear"))
    scores = cross_val_predict(
        machine, table, pairs.same, groups=pairs.split, cv=LeaveOneGroupOut(), method="decision_function"
    )
    expected = [((scores > 0) == pairs.same)[pairs.split == s].mean() for s in range(4)]
    assert found.accuracies == tuple(expected)
    assert found.accuracy == np.mean(expected) and 0.6 < found.accuracy < 0.95
    assert found.standard_error == pytest.approx(np.std(expected, ddof=1) / 2)
    assert found.auc == pytest.approx(roc_auc_score(pairs.same, scores))
    assert (found.pairs, found.failed_pairs) == (240, 0)
    assert found.roc[0].tolist() == [0, 0] and found.roc[-1].tolist() == [1, 1]


def test_pairs_without_features_are_counted_wrong_and_not_trained_with() -> None:
    features, pairs = planted_pairs(1, noise=0.0)
    assert evaluate_pairs(features, pairs).accuracy == 1.0
    lost = int(pairs.first[0])
    without = {sample: vector for sample, vector in features.items() if sample != lost}
    gone = (pairs.first == lost) | (pairs.second == lost)
    found = evaluate_pairs(without, pairs)
    assert found.failed_pairs == gone.sum() > 0
    assert found.accuracies == tuple(1 - gone[pairs.split == s].mean() for s in range(4))


def test_view_1_trains_on_one_part_and_tests_on_the_other(tmp_path: Path) -> None:
    from scipy.io import savemat

    features, pairs = planted_pairs(2, splits=2)
    for split, name in enumerate(("train_pairs", "test_pairs")):
        part = np.stack([*pairs[:3], pairs.first, pairs.second], axis=1)[pairs.split == split]
        savemat(tmp_path / f"{name}.mat", {name: part.astype(float)})
    read = read_view1(tmp_path / "train_pairs.mat", tmp_path / "test_pairs.mat")
    for ours, theirs in zip(read, pairs, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    found = evaluate_pairs(features, read, tested=[1])
    assert (found.pairs, len(found.accuracies)) == (60, 1) and math.isnan(found.standard_error)
    assert found.accuracies[0] == evaluate_pairs(features, read).accuracies[1]


def test_view_2_is_ten_splits_of_600(tmp_path: Path) -> None:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    table = rng.integers(1, 3698, (600, 5, 10)).astype(float)
    table[:, 2] = np.arange(600)[:, None] < 300
    savemat(tmp_path / "View2.mat", {"action_splits_pairs": table})
    pairs = read_view2(tmp_path / "View2.mat")
    assert np.bincount(pairs.split).tolist() == [600] * 10 and pairs.same.sum() == 3000
    assert (pairs.first[601], pairs.second[601]) == (table[1, 0, 1], table[1, 1, 1])


@pytest.mark.parametrize(
    "content", [{"other": np.zeros((6, 5, 2))}, {"action_splits_pairs": np.zeros((6, 5))}, None]
)
def test_a_file_that_is_not_view_2_is_refused(tmp_path: Path, content: dict[str, object] | None) -> None:
    from scipy.io import savemat

    path = tmp_path / "View2.mat"
    if content is None:
        path.write_text("no matrix, but long enough for the header of one" * 9)
    else:
        savemat(path, content)
    with pytest.raises(DatasetError, match=r"View2\.mat"):
        read_view2(path)


# YUPENN


@pytest.mark.parametrize("c", [1.0, 20.0])
def test_leave_one_out_equals_a_naive_loop(c: float) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 6)
    features = np.abs(rng.uniform(0, 1, (4, 15))[classes] + 0.4 * rng.standard_normal((24, 15)))
    rows = [list(row / math.sqrt(sum(v * v for v in row))) for row in features]
    naive = []
    for out in range(24):
        others = [i for i in range(24) if i != out]
        machine = SVC(kernel="linear", C=c).fit([rows[i] for i in others], classes[others])
        naive.append(machine.predict([rows[out]])[0])
    found = leave_one_out(features, classes, c)
    assert found.tolist() == naive
    assert 0.3 < (found == classes).mean() < 1


def test_leave_one_out_needs_two_of_each_class() -> None:
    with pytest.raises(InputError, match=r"found counts \[2, 1\]"):
        leave_one_out(np.ones((3, 2)), np.array([0, 0, 1]))


# attention


def test_attention_is_the_sum_of_squares_resized() -> None:
    activations = torch.zeros(2, 3, 2, 4, 4)
    activations[0, 0, 0, 1, 2] = 3.0
    activations[0, 2, 1, 1, 2] = 4.0  # 9 + 16 at one place
    activations[0, 1, 1, 3, 0] = 1.0
    maps = attention_maps(activations, 4)
    expected = torch.zeros(4, 4)
    expected[1, 2], expected[3, 0] = 1.0, 1 / 25
    torch.testing.assert_close(maps[0], expected)
    assert not maps[1].any()
    large = attention_maps(activations, 112)
    assert large.shape == (2, 112, 112) and large[0].max() == 1
    row, col = divmod(int(large[0].argmax()), 112)
    assert (row // 28, col // 28) == (1, 2)
    with pytest.raises(InputError, match=r"found \(3, 2, 4, 4\)"):
        attention_maps(activations[0], 4)


# pictures


def test_pictures_are_written_whatever_classes_are_called(tmp_path: Path) -> None:
    draw_confusion(np.array([[2, 0, 1], [0, 0, 0]]), ["$x_", "vidéo"], tmp_path / "confusion.png")
    draw_roc({"ours": np.array([[0, 0], [0.2, 0.7], [1, 1.0]])}, tmp_path / "roc.png")
    frame, plain = np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112), np.float32)
    rows = [AttentionRow("a$b", frame, plain, (plain, plain)), AttentionRow("b", frame, plain, None)]
    draw_attention(rows, tmp_path / "attention.png")
    for name in ("confusion", "roc", "attention"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
