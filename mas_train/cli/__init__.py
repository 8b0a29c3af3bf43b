"""The commands of the trainer: they parse options and call the library."""
