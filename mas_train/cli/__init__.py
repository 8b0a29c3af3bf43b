"""The commands of the trainer: they parse; the library does."""
