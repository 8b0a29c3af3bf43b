"""TensorBoard events of a run, beside its CSV tables; an extra, imported only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mas_labels.errors import MissingDependencyError

FOLDER: Final = "tensorboard"


class Events:
    """Writes scalars into a run's folder ``tensorboard``.

    Parameters
    ----------
    run
        The run's folder.
    start_step
        Steps done: TensorBoard hides what a run that was killed wrote after them.

    Raises
    ------
    MissingDependencyError
        If tensorboard is not installed.
    """

    def __init__(self, run: Path, start_step: int) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / FOLDER), purge_step=start_step + 1)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the values of one step."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def require_tensorboard() -> None:
    """Say what to install where TensorBoard is missing.

    Raises
    ------
    MissingDependencyError
        If it is.
    """
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            '--tensorboard needs tensorboard, which is not installed: pip install "mas-video[tensorboard]"'
        ) from error
