"""Stands for AnyIO's calls in worker threads: its own threads, borrowed for one call at a time."""
