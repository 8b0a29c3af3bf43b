"""What the tests share: reference implementations, made-up videos and shards, mutated files."""
