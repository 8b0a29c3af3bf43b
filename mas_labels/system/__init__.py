"""Operating system services for both programs: atomic files, locks, signals, streams, command lines."""
