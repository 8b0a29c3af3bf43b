"""Shared by the tests: reference implementations, synthetic videos and shards, corrupted files."""
