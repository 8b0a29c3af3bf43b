"""Examination of the machine: what labelling and training need of it, and the remedy for what is missing."""
