"""Errors that are declared at their class and named in `raises=`. See docs/errors.md."""

from ferroapi._beyond.declared_errors import DeclaredHTTPException as DeclaredHTTPException
from ferroapi._beyond.declared_errors import ErrorRecorder as ErrorRecorder
from ferroapi._beyond.declared_errors import undeclared_errors as undeclared_errors
