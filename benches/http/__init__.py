"""Measurements on a server: uvicorn on one core, wrk on the other."""
