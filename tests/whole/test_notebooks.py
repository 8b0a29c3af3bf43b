"""The notebooks are stored without outputs and run on the demo, all cells."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from mas_labels.config import LabelConfig
from mas_labels.datasets.demo import make_demo
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the output of `make demo` that notebooks read, but faster; weights come along."""
    root = tmp_path_factory.mktemp("notebooks")
    demo = root / "demo"
    make_demo(demo / "videos")
    listing = find_videos(load_manifest("demo"), demo / "videos")
    config = LabelConfig(flow="dis", view_stride_pixels=16, store_boundaries=True)
    run(plan_shards(listing, "train", 8), config, demo / "videos", demo / "labels")
    (root / "results").symlink_to(ROOT / "results")
    (root / "notebooks").mkdir()
    return root


def test_there_are_three_notebooks():
    assert {path.stem for path in NOTEBOOKS} == {"labels_of_one_clip", "label_folder", "features"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.fixture
def execute(demo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[NotebookNode], None]:
    """Run a notebook where it finds the demo; it draws pictures."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def run_notebook(notebook: NotebookNode) -> None:
        folder = {"metadata": {"path": str(demo_root / "notebooks")}}
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources=folder).execute()
        pictures = [cell.id for cell in notebook.cells if "image/png" in str(cell.get("outputs"))]
        assert len(pictures) >= 2

    return run_notebook


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_on_the_demo(path, execute):
    execute(nbformat.read(path, as_version=4))


@pytest.fixture(scope="session")
def own_root(demo_root: Path) -> Path:
    """Make a user's folder: a few videos without classes, the first of them broken; and their labels."""
    videos = demo_root / "own" / "videos"
    videos.mkdir(parents=True)
    for number, path in enumerate(sorted((demo_root / "demo" / "videos" / "train").glob("*/*_1.*"))[:3]):
        shutil.copy(path, videos / f"my video {number}{path.suffix}")
    (videos / "broken.avi").write_bytes(b"no video")
    plan = plan_shards(find_videos(load_manifest("folder"), videos), "all", 4)
    run(plan, LabelConfig(flow="dis", view_stride_pixels=16), videos, videos.parent / "labels")
    return videos.parent


@pytest.mark.parametrize(
    ("name", "demo", "own"),
    [
        ("features", 'Path("../demo/videos/train")', 'Path("../own/videos")'),
        ("label_folder", '"../demo/labels"', '"../own/labels"'),
    ],
)
def test_runs_on_a_few_videos_without_classes_of_which_one_is_broken(name, demo, own, own_root, execute):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if demo in cell.source]
    cell.source = cell.source.replace(demo, own)
    execute(notebook)
