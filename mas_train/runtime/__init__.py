"""Services of a training run: devices, processes, performance, signals, tables, figures."""
