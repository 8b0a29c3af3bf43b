"""Services of the operating system for both programs: whole files, locks, signals, standard streams."""
