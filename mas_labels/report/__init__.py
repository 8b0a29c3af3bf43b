"""The report: one self-contained HTML page about a set of shards, a training run, or both."""

from mas_labels.report.write import write_report

__all__ = ["write_report"]
