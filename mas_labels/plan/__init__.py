"""The shards that a folder is to hold: their names, the videos of each, and who is making them now."""
