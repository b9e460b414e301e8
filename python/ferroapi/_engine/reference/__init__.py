"""The conductor in Python: it serves requests only while a name that the engine stands for is replaced."""
