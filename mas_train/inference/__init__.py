"""Features and class scores of any videos, from files and shards alike, and pictures of what is near what."""
