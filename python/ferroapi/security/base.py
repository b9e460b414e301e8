"""What every security scheme is, and how the schemes of this package refuse a request."""

from starlette.exceptions import HTTPException

from ferroapi.openapi.models import SecurityBase as SecurityBaseModel


class SecurityBase:
    """A dependency that OpenAPI lists among the security schemes, by `scheme_name` and described by `model`."""

    model: SecurityBaseModel
    scheme_name: str


class _Scheme(SecurityBase):
    """A scheme that answers missing credentials with an error, or with None where `auto_error` is off."""

    auto_error: bool

    def _set_up(self, model: SecurityBaseModel, scheme_name: str | None, auto_error: bool) -> None:
        self.model = model
        self.scheme_name = scheme_name or self.__class__.__name__
        self.auto_error = auto_error

    def make_not_authenticated_error(self) -> HTTPException:
        """Return the error for a request without usable credentials; subclasses replace it to answer differently."""
        raise NotImplementedError(f"{type(self).__name__}.make_not_authenticated_error")

    def _refuse(self) -> None:
        if self.auto_error:
            raise self.make_not_authenticated_error()
