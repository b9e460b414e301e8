"""The parts of the command line: finding an application, and the commands over it."""
