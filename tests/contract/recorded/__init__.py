"""Applications whose every callable records where it runs: thread, task, context and order."""

from .build import serve
from .descriptions import Answer, Drawn, Need, Node, Value
