"""What a callable asks of a request, and how each of its parameters gets a value."""
