"""The names that `mas_train` gives to programs of one's own: few, and loaded when they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mas_train

ROOT = Path(__file__).parents[2]


def test_the_names_are_these() -> None:
    assert mas_train.__all__ == ["PretextLoss", "ViewDataset", "load_backbone", "make_recipe"]
    for name in mas_train.__all__:
        assert getattr(mas_train, name).__name__ == name
        assert name in dir(mas_train)
    with pytest.raises(AttributeError, match="module 'mas_train' has no attribute 'train'"):
        mas_train.train  # noqa: B018


def test_a_recipe_needs_no_torch_and_torch_is_named_where_it_is_missing() -> None:
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Block())
import mas_train
from mas_labels.errors import MissingDependencyError
print(mas_train.make_recipe("ucf101").batch_size)
try:
    mas_train.ViewDataset
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    batch_size, words = done.stdout.splitlines()
    assert batch_size == "30"
    assert words == 'training needs torch, which is not installed: pip install "mas-video[train]"'
