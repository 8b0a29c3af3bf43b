"""Where and how steps are computed: devices, processes, memory, signals, files."""
