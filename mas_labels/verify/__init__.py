"""Verification of shards: their bytes, their consistency, and their labels computed again from the videos."""
