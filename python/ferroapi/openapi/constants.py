"""Fixed names of the OpenAPI document, shared by the schema generator and the document builder."""

METHODS_WITH_BODY = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"}
"""The HTTP methods whose operation may list a request body."""

REF_PREFIX = "#/components/schemas/"
"""What every reference to a model starts with."""

REF_TEMPLATE = REF_PREFIX + "{model}"
"""How pydantic is told to write such a reference."""
