"""Action similarity: the 12 similarities by hand, the SVM against scikit-learn, ASLAN's files, mas-eval."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.coloured import CPU, SMALL, WIDTH, run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_labels.shards.shard_set import ShardSet
from mas_train.cli.evaluate import main as eval_main
from mas_train.evaluation.aslan import by_sample, evaluate_pairs
from mas_train.evaluation.aslan_pairs import Pairs, read_view1, read_view2, similarities
from mas_train.evaluation.features import Extraction, extract
from mas_train.evaluation.linear import ChoiceOfC
from mas_train.evaluation.results import read_results
from mas_train.inference.layers import backbone_features
from mas_train.weights.backbone_weights import SCRATCH, load_weights


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
    values = similarities(np.array([[4.0, 1, 0]]), np.array([[1.0, 4, 0]]))
    np.testing.assert_allclose(values, [expected], rtol=1e-12)


def test_zeros_count_0_and_logarithms_stay_finite() -> None:
    x1, x2 = np.array([[0.0, 2, 0], [0, 0, 0]]), np.array([[3.0, 0, 0], [1, 0, 1]])
    values = similarities(x1, x2)
    assert np.isfinite(values).all()
    assert values[0, [0, 1, 2, 3, 4, 11]].tolist() == [0] * 6
    assert values[0, 9] == pytest.approx(math.log(1e10))  # the two logarithms, each of 1 / 1e-10
    np.testing.assert_array_equal(similarities(np.zeros((1, 3)), np.zeros((1, 3))), np.zeros((1, 12)))


@given(hnp.arrays(np.float64, (4, 7), elements=st.floats(0, 1e3)))
def test_similarities_are_symmetric_and_a_vector_is_most_like_itself(vectors: NDArray[np.float64]) -> None:
    first, second = vectors[:2], vectors[2:]
    forward, backward = similarities(first, second), similarities(second, first)
    np.testing.assert_allclose(forward, backward, rtol=1e-9, atol=1e-9)
    itself = similarities(first, first)
    np.testing.assert_allclose(itself[:, [5, 6, 7, 8, 9]], 0, atol=1e-9)
    assert (itself[:, 4] >= forward[:, 4] - 1e-9)[first.any(axis=1)].all()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_features_before_the_relu_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="after the ReLU"):
        similarities(np.array([[bad]]), np.array([[1.0]]))


def planted_pairs(seed: int, splits: int = 4, each: int = 30, noise: float = 0.6) -> tuple[dict, Pairs]:
    """Return noisy non-negative vectors of samples of 12 actions, and pairs of which half show one action."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (12, 10))
    action = rng.integers(0, 12, 120)
    features = {i: np.abs(centres[action[i]] + noise * rng.standard_normal(10)) for i in range(120)}
    first, second = rng.integers(0, 120, (2, 40_000))
    same = action[first] == action[second]
    chosen = []
    for is_same in (True, False):
        chosen.append(np.flatnonzero((same == is_same) & (first != second))[: splits * each])
    rows = np.stack([part.reshape(splits, each) for part in chosen], axis=1).ravel()
    return features, Pairs(first[rows], second[rows], same[rows], np.repeat(np.arange(splits), 2 * each))


def test_ten_fold_svm_and_auc_equal_scikit_learn_used_directly() -> None:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer, StandardScaler
    from sklearn.svm import LinearSVC

    features, pairs = planted_pairs(0)
    outcome = evaluate_pairs(features, pairs, choice=ChoiceOfC(12.0))  # of columns divided by sqrt(12)
    matrix = Normalizer().fit_transform(np.stack(list(features.values())))
    table = similarities(matrix[pairs.first], matrix[pairs.second])
    classifier = make_pipeline(StandardScaler(), LinearSVC(dual=False))
    scores = cross_val_predict(
        classifier, table, pairs.same, groups=pairs.split, cv=LeaveOneGroupOut(), method="decision_function"
    )
    expected = [((scores > 0) == pairs.same)[pairs.split == s].mean() for s in range(4)]
    assert outcome.accuracies == pytest.approx(expected)
    assert outcome.accuracy == pytest.approx(np.mean(expected)) and 0.55 < outcome.accuracy < 0.95
    assert outcome.standard_error == pytest.approx(np.std(expected, ddof=1) / 2)
    assert outcome.auc == pytest.approx(roc_auc_score(pairs.same, scores))
    assert (len(outcome.right), outcome.failed_pairs) == (240, 0)
    assert outcome.roc[0].tolist() == [0, 0] and outcome.roc[-1].tolist() == [1, 1]


def test_pairs_without_features_count_as_wrong_and_are_left_out_of_training() -> None:
    features, pairs = planted_pairs(1, noise=0.0)
    assert evaluate_pairs(features, pairs).accuracy == 1.0
    missing = int(pairs.first[0])
    without = {sample: vector for sample, vector in features.items() if sample != missing}
    has_lost = (pairs.first == missing) | (pairs.second == missing)
    outcome = evaluate_pairs(without, pairs)
    assert outcome.failed_pairs == has_lost.sum() > 0
    assert outcome.accuracies == tuple(1 - has_lost[pairs.split == s].mean() for s in range(4))


def test_view_1_trains_on_one_part_and_tests_on_the_other(tmp_path: Path) -> None:
    from scipy.io import savemat

    features, pairs = planted_pairs(2, splits=2)
    for split, name in enumerate(("train_pairs", "test_pairs")):
        part = np.stack([*pairs[:3], pairs.first, pairs.second], axis=1)[pairs.split == split]
        savemat(tmp_path / f"{name}.mat", {name: part.astype(float)})
    read_pairs = read_view1(tmp_path / "train_pairs.mat", tmp_path / "test_pairs.mat")
    for ours, theirs in zip(read_pairs, pairs, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    outcome = evaluate_pairs(features, read_pairs, tested=[1])
    assert (len(outcome.right), len(outcome.accuracies)) == (60, 1) and math.isnan(outcome.standard_error)
    assert outcome.accuracies[0] == evaluate_pairs(features, read_pairs).accuracies[1]


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


def test_sample_names_must_be_unique_numbers(test: ShardSet) -> None:
    weights = load_weights(SCRATCH, WIDTH)
    output = backbone_features(weights.backbone, "mean")
    features = extract(weights.backbone, output, "mean", weights.pixel_mean, test, Extraction(CPU, 0))
    assert sorted(by_sample(features)) == [101, 102, 103, 104]
    with pytest.raises(DatasetError, match="four digits"):
        by_sample(replace(features, paths=("a.avi", *features.paths[1:])))
    with pytest.raises(DatasetError, match="sample 0102 appears twice"):
        by_sample(replace(features, paths=("x/0102.mp4", *features.paths[1:])))


def test_aslan_command_separates_pairs_by_colour(
    pretrained: Path, train: ShardSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    first, second = rng.integers(1, 9, (2, 40, 10))
    table = np.stack([first, second, (first - 1) // 4 == (second - 1) // 4, first, second], axis=1)
    table[0, 0] = 77  # a sample that is not there
    savemat(tmp_path / "View2.mat", {"action_splits_pairs": table.astype(float)})
    args = ["--checkpoint", pretrained, "--shards", *train.paths, "--view2", tmp_path / "View2.mat"]
    assert run(eval_main, "aslan", *args, "--features", "mean", "--out", tmp_path / "out", *SMALL) == 0
    (result,) = read_results([tmp_path / "out"])
    assert result.figures["accuracy"] > 0.85 and result.figures["AUC"] > 0.9
    assert (result.details["pairs"], result.details["pairs_without_features"]) == (400, 10)
    assert (tmp_path / "out" / "roc.png").exists()
    assert "published, C3D, self-supervised" not in capsys.readouterr().out  # the shards are no ASLAN
