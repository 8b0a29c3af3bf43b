"""Weights as a command line names them: a run, a weights folder or a file; and what is none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mas_labels.errors import CheckpointError
from mas_labels.system.path_kinds import kind_of_name, tell_found
from mas_train.weights.checkpoint import BEST_CHECKPOINT, CHECKPOINT_FOLDER, LAST_CHECKPOINT

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
CARD_FILE: Final = "README.md"
"""Files of a weights folder, under the names that the Hugging Face Hub uses."""
OLD_EXPORT: Final = "backbone.safetensors"
"""File that `mas-export` wrote before there were weights folders."""


def find_weights(source: str | Path) -> Path:
    """Return the file, or the weights folder, that a source stands for.

    Parameters
    ----------
    source
        A run's folder, which stands for its best checkpoint, or else its last; a weights folder, or the file
        of weights in it; or another file.

    Raises
    ------
    CheckpointError
        If there is nothing, or something else than weights; says what.
    """
    path = Path(source)
    if path.is_dir():
        found = _find_in_folder(path)
        if found is not None:
            return found
        inside = sorted(child.name for child in path.iterdir() if child.is_dir() and _find_in_folder(child))
        if inside:
            raise CheckpointError(
                f"{source}: expected weights, found a folder of such folders: name one, such as "
                f"{path / inside[0]}"
            )
    elif not path.exists():
        raise CheckpointError(
            f"{source}: cannot be read (No such file or directory): check the path; weights on the Hugging "
            "Face Hub are fetched first: hf download REPO --local-dir FOLDER"
        )
    elif kind_of_name(path.name) not in ("video", "shards"):
        is_part = path.name == WEIGHTS_FILE and (path.parent / CONFIG_FILE).is_file()
        return path.parent if is_part else path
    raise CheckpointError(f"{source} holds no checkpoint: expected weights, {tell_found(source, 'weights')}")


def _find_in_folder(folder: Path) -> Path | None:
    """Return the weights in a folder, None if there are none."""
    if (folder / CONFIG_FILE).is_file():
        return folder
    for name in (BEST_CHECKPOINT, LAST_CHECKPOINT):
        if (folder / CHECKPOINT_FOLDER / name).exists():
            return (folder / CHECKPOINT_FOLDER / name).resolve()  # a link; the name of the file has the step
    return folder / OLD_EXPORT if (folder / OLD_EXPORT).is_file() else None
