"""Applications whose every callable records where it runs: thread, task, context and order."""

from .answers import declared
from .build import Builder, serve
from .descriptions import Answer, Drawn, Need, Node, Recorder, Value
