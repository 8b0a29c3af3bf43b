"""`python -m mas_labels`."""

from mas_labels.cli.main import main

if __name__ == "__main__":  # processes that are spawned import this file, too
    main(prog_name="mas-labels")
