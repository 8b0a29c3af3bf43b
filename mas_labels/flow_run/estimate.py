"""Estimate of the time and the disk space of a run of flow, measured on a few pairs, which are not kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mas_labels.errors import VideoError
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.output import FlowOutput
from mas_labels.flow.places import flow_target
from mas_labels.flow.video_flow import FlowPart
from mas_labels.flow_run.run import FlowTask
from mas_labels.pipeline.estimate import Estimate, measured_sample, spread_sample
from mas_labels.pipeline.flow_video import FlowJob
from mas_labels.pipeline.supervisor import VideoProcess

PARTS_PER_VIDEO: Final = 2
"""Number of parts whose pairs are computed of each sampled video."""


def estimate_flow(tasks: Sequence[FlowTask], options: FlowOptions, timeout_seconds: float) -> Estimate:
    """Write the flow of a few pairs of videos spread over the tasks into a temporary folder.

    Raises
    ------
    WorkerError, StorageError
        As a run raises them.
    """
    estimate = Estimate(len(tasks), "pair")
    with measured_sample(estimate) as (folder, process):
        for number, task in enumerate(spread_sample(tasks)):
            with FlowOutput(flow_target(folder, str(number), options), options) as output:
                _measure(process, task, output, options, timeout_seconds, estimate)
    return estimate


def _measure(
    process: VideoProcess,
    task: FlowTask,
    output: FlowOutput,
    options: FlowOptions,
    timeout_seconds: float,
    estimate: Estimate,
) -> None:
    """Write a few pairs of one video, and count them."""
    pairs = promised = 0
    failure = None
    try:
        for message in process.do(FlowJob(task.source, options, PARTS_PER_VIDEO), timeout_seconds):
            if isinstance(message, FlowPart):
                output.add(message)
                pairs += message.pairs
            else:
                promised = message.promised_frames - abs(options.step)
    except VideoError as error:
        failure = error
    if pairs:
        output.publish()
    estimate.add(pairs, promised, failure)
