from __future__ import annotations

import numpy as np
import pytest
from helpers.videos import moving_texture

import mas_labels
from mas_labels.errors import ConfigError, InputError
from mas_labels.flow.estimators import ESTIMATORS
from mas_labels.flow.methods import METHODS


def test_the_configuration_has_the_names_of_the_estimators():
    assert tuple(ESTIMATORS) == tuple(METHODS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("u", "v"), [(2.0, 0.0), (0.0, -1.0), (-1.5, 0.5)])
def test_a_translated_texture_gives_its_motion(method, u, v):
    frames = moving_texture(3, 64, 80, u, v)
    flow = mas_labels.compute_flow(frames, method)
    assert flow.shape == (2, 64, 80, 2)
    assert flow.dtype == np.float32
    inner = np.median(flow[:, 10:-10, 10:-10], axis=(1, 2))
    np.testing.assert_allclose(inner, [[u, v]] * 2, atol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_equal_frames_do_not_move(method):
    frames = moving_texture(1, 48, 64, 0, 0).repeat(3, axis=0)
    inner = mas_labels.compute_flow(frames, method)[:, 10:-10, 10:-10]  # Farneback drifts at the border
    assert np.abs(inner).max() < 1e-2


def test_wrong_input_is_refused():
    frames = moving_texture(2, 48, 64, 0, 0)
    with pytest.raises(ConfigError, match="no flow method 'lucas': choose one of tvl1"):
        mas_labels.compute_flow(frames, "lucas")
    with pytest.raises(InputError, match="at least 2"):
        mas_labels.compute_flow(frames[:1])
    with pytest.raises(InputError, match="at least 16 x 16 pixels, found 8 x 64"):
        mas_labels.compute_flow(frames[:, :8], "dis")
    with pytest.raises(InputError, match="uint8"):
        mas_labels.compute_flow(frames.astype(np.float32))
