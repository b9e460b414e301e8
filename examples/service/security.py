"""Passwords, tokens and the clock; no database."""

from datetime import UTC, datetime
from typing import Annotated

import jwt
from pwdlib import PasswordHash

from ferroapi import Depends, HTTPException, Query, WebSocketException, status
from ferroapi.security import OAuth2PasswordBearer

from .config import settings

_ALGORITHM = "HS256"
passwords = PasswordHash.recommended()
_bearer = OAuth2PasswordBearer(tokenUrl="token")

# Checked when the user does not exist, so that a wrong name takes as long as a wrong password.
_NOBODY = passwords.hash("nobody has this password")


def hash_password(password: str) -> str:
    """Return what is kept of a password."""
    return passwords.hash(password)


def password_is_right(password: str, password_hash: str | None) -> bool:
    """Tell whether the password belongs to the hash, in the same time when there is no hash."""
    return passwords.verify(password, password_hash or _NOBODY) and password_hash is not None


def get_now() -> datetime:
    """Read the clock; tests put another in its place."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(get_now)]


def make_token(username: str, now: datetime) -> str:
    """Sign a token that names the user until the token's lifetime is over."""
    claims = {"sub": username, "exp": now + settings.token_lifetime}
    return jwt.encode(claims, settings.secret.get_secret_value(), algorithm=_ALGORITHM)


def read_token(token: str) -> str:
    """Return the username a token names.

    Raises:
        jwt.InvalidTokenError: the token is not ours, was changed, or is too old.
    """
    claims = jwt.decode(
        token, settings.secret.get_secret_value(), algorithms=[_ALGORITHM], options={"require": ["sub", "exp"]}
    )
    return str(claims["sub"])


def get_username(token: Annotated[str, Depends(_bearer)]) -> str:
    """Return who is asking, by the `Authorization` header."""
    try:
        return read_token(token)
    except jwt.InvalidTokenError as error:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Could not validate credentials", headers={"WWW-Authenticate": "Bearer"}
        ) from error


def get_listener(token: Annotated[str, Query()]) -> str:
    """Return who is listening, by the query: a browser cannot set headers on a WebSocket."""
    try:
        return read_token(token)
    except jwt.InvalidTokenError as error:
        raise WebSocketException(status.WS_1008_POLICY_VIOLATION, "Could not validate credentials") from error


Listener = Annotated[str, Depends(get_listener)]
