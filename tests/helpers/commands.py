"""Commands run in this process."""

from __future__ import annotations

from click.testing import CliRunner

from mas_labels.cli.main import main


def mas(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
