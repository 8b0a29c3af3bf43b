"""Makes the pictures of the pages from the built-in demo: `make docs-pictures`.

The pictures of labels.md are those of the notebook labels_of_one_clip.ipynb, under the names of its cells;
`mas-labels inspect` draws clip.png. The picture of the rooms comes from draw_rooms.py.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).parent
NOTEBOOK = DOCS.parent / "notebooks" / "labels_of_one_clip.ipynb"
CLIP = 22
"""Number of the clip of clip.png, in the demo's training split."""


def run_labels(*args: object) -> None:
    """Run `mas-labels`."""
    subprocess.run([sys.executable, "-m", "mas_labels", *map(str, args)], cwd=DOCS.parent, check=True)


def notebook_pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Run the notebook in `folder`; yield the name of each cell that shows a picture, and the PNG."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                yield cell.id, base64.b64decode(output.data["image/png"])


def make_pictures(demo: Path) -> None:
    """Make all pictures; the demo's videos and labels go into a folder."""
    run_labels("demo", "--out", demo / "videos")
    run_labels(
        "make", "--manifest", "demo", "--root", demo / "videos", "--split", "train", "--out", demo / "labels"
    )
    run_labels("inspect", demo / "labels", "--clip", CLIP, "--out", DOCS / "clip.png")
    notebooks = demo.parent / "notebooks"
    notebooks.mkdir()
    (DOCS / "pictures").mkdir(exist_ok=True)
    for name, png in notebook_pictures(notebooks):
        (DOCS / "pictures" / f"{name}.png").write_bytes(png)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        make_pictures(Path(temporary) / "demo")
