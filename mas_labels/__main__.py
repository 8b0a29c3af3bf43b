"""`python -m mas_labels`."""

from mas_labels.cli import main

main(prog_name="mas-labels")
