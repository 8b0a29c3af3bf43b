"""Finished shards checked: whole, consistent, and equal to what their videos give again."""
