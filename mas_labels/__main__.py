"""`python -m mas_labels`."""

from mas_labels.cli.main import main

if __name__ == "__main__":  # spawned processes import this file, too
    main(prog_name="mas-labels")
