"""Shards to batches of frames and labels."""
