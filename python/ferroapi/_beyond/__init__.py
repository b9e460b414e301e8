"""What FastAPI has not, each part opt-in: a declaration hands its option over, public modules re-export the names."""
