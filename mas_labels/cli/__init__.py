"""The commands of `mas-labels`: they parse options and call the library."""
