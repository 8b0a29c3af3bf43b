"""The device under test, sizes of networks for it, and short training runs: tests that `make test-gpu` runs.

On a CPU the same tests run with small networks, so that they are known to work before a GPU can be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mas_train.recipe import Recipe, make_recipe
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain

RunSteps = Callable[..., list[list[float]]]


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> str:
    """Name of the device under test, of the option --device."""
    return str(request.config.getoption("--device"))


@pytest.fixture(scope="session")
def on_gpu(device: str) -> None:
    """Skip what a CPU cannot show."""
    if device == "cpu":
        pytest.skip("needs a GPU: make test-gpu")


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Compute float32 convolutions without TF32, whose ten bits of mantissa would hide smaller errors."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope="session")
def network(device: str) -> dict[str, Any]:
    """Entries of a recipe that choose the network: on a GPU the paper's convolutions, on a CPU tiny ones.

    The paper's 4096 units would only make checkpoints of 0.6 GB.
    """
    small = {"width": 1 / 32, "fc_width": 16, "input_stride": 2}
    return small if device == "cpu" else {"fc_width": 512}


@pytest.fixture(scope="session")
def recipe(network: dict[str, Any]) -> Recipe:
    """Recipe for the 12 clips of `tiny_shards`: batches of 5, 5 and 2."""
    return make_recipe("ucf101", batch_size=5, **network)


@pytest.fixture(scope="session")
def run_steps(tiny_shards: list[Path], device: str) -> RunSteps:
    """Return a function that trains for some steps, and returns loss and gradient norm of each."""

    def run(recipe: Recipe, out: Path, on: str = device, **options: Any) -> list[list[float]]:
        settings = {"workers": 0, "log_steps": 1, "max_steps": 3, "curves": False, **options}
        lines = settings.pop("lines", [])
        settings["threads"] = 1 if device == "cpu" else None
        pretrain(recipe, replace(TrainingOptions(tiny_shards, out, on), **settings), lines.append)
        return [[row["loss"], row["grad_norm"]] for row in read_metrics(out)]

    return run


@pytest.fixture(scope="session")
def on_cpu(
    run_steps: RunSteps, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> list[list[float]]:
    """Loss and gradient norm of three steps of the same network in float32 on the CPU."""
    return run_steps(recipe, tmp_path_factory.mktemp("cpu"), "cpu")
