"""The routes, one module for each prefix."""
