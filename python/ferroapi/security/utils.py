"""Reading the `Authorization` header."""


def get_authorization_scheme_param(authorization_header_value: str | None) -> tuple[str, str]:
    """Split a header value into its scheme and the rest; two empty strings where there is none.

    Source: RFC 9110, 11.4 Credentials.
    """
    scheme, _, parameters = (authorization_header_value or "").partition(" ")
    return scheme, parameters.strip()
