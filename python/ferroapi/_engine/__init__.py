"""Python's half of the engine: declarations become plans, and what the driver asks Python for."""
