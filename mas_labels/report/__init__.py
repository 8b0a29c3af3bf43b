"""Pages: one self-contained HTML file about a set of shards, and about a training run."""

from mas_labels.report.write import write_report

__all__ = ["write_report"]
