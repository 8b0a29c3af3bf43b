"""The flow of a video, as numbers and in files as the command writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from helpers.processes import digest
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.output import FlowOutput
from mas_labels.flow.places import FlowTarget
from mas_labels.flow.video_flow import flow_parts, video_flow
from mas_labels.video.open_video import open_video


def fields_of(video: Path, **options: Any) -> NDArray[np.float32]:
    """Return the flow of a video, (pairs, rows, cols, 2), exact."""
    return np.stack(list(video_flow(video, **options)))


def write_flow(video: Path, target: FlowTarget, options: FlowOptions) -> None:
    """Compute, write and publish the flow of a video."""
    with FlowOutput(target, options) as output:
        for part in flow_parts(open_video(video, options.frame_rate), options):
            output.add(part)
        output.publish()


def tree(folder: Path) -> dict[str, str]:
    """Return size and digest of every file below a folder, hidden ones too, by its path from there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): digest(path) for path in files}
