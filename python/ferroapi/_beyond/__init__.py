"""What FastAPI has not. Each part is opt-in; no other room imports this one, public modules re-export its names."""
