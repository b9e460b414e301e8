"""The pieces of one request in handler mode: context, body, response and streams, each callable on its own."""
