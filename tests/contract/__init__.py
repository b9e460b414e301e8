"""Proof that ferroapi does what FastAPI does."""
