"""Pre-training and fine-tuning: the loop, what it writes, and how it resumes."""
