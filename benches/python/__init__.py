"""Measurements inside one process: requests, start-up, memory, instructions."""
