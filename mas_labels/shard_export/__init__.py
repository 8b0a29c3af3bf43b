"""Shards as files that other programs read: WebDataset tars, and tables in parquet."""
