"""Commands run in this process."""

from __future__ import annotations

import shlex

from click.testing import CliRunner

from mas_labels.cli.main import main

SMALL_NETWORK = shlex.split("--width 0.03125 --fc-width 16 --batch-size 4 --device cpu --threads 1")
"""Options of `mas-train` for steps of milliseconds."""


def mas(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
