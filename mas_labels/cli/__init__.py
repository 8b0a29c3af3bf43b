"""The commands of `mas-labels`: they parse; the library does."""
