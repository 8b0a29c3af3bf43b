"""Without the optional packages all works but pictures and tables, which name the packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("matplotlib", "pandas"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Block())
import mas_labels
from mas_labels import cli
from mas_labels.errors import MissingDependencyError
import mas_labels.inspect, mas_labels.report
shards = mas_labels.open_shards(sys.argv[1:])
assert len(shards.where(min_motion=0.0)) == len(shards) and shards[0].labels and shards.clips.columns()
for ask in (shards[0].show, shards.table):
    try:
        ask()
    except MissingDependencyError as error:
        print(error)
try:
    import mas_train.training.engine
except ImportError as error:
    assert "torch" in str(error)
"""


def test_without_the_extras_only_pictures_and_tables_are_missing(tiny_shards: list[Path]) -> None:
    command = [sys.executable, "-c", BLOCKED, *map(str, tiny_shards)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    pictures, tables = shown.stdout.splitlines()
    assert "pictures need matplotlib" in pictures and "tables need pandas" in tables
    assert all('pip install "mas-video[inspect]"' in line for line in (pictures, tables))


def test_labelling_runs_without_the_extras(tiny_videos: Path, tmp_path: Path) -> None:
    block = BLOCKED.split("import mas_labels\n")[0]
    run = "from mas_labels.cli.main import main; main()"
    options = ["make", "--manifest", "folder", "--root", tiny_videos, "--out", tmp_path, "--flow", "dis"]
    options += ["--limit", "1", "--workers", "1"]
    command = [sys.executable, "-c", block + run, *map(str, options)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode in (0, 3), shown.stderr
    assert list(tmp_path.glob("*.h5"))
