"""`python -m mas_train` is `mas-train`."""

from mas_train.cli.pretrain import main

if __name__ == "__main__":
    main()
