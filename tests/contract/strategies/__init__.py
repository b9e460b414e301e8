"""Hypothesis strategies: applications of every kind that can be built, and requests for them, good and bad."""

from .applications import applications
from .requests import requests
