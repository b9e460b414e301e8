"""Signing up, logging in, who am I; and the list of users, for administrators."""

from collections.abc import Sequence
from typing import Annotated

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from ferroapi import APIRouter, Depends, HTTPException, status
from ferroapi.security import OAuth2PasswordRequestForm

from ..database import OpenSession
from ..dependencies import CurrentUser, require_admin
from ..errors import Taken
from ..models import Problem, Token, User, UserCreate, UserPublic
from ..security import Now, hash_password, make_token, password_is_right

router = APIRouter(tags=["users"])
admin = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(require_admin)])


@router.post(
    "/users", response_model=UserPublic, status_code=status.HTTP_201_CREATED, responses={409: {"model": Problem}}
)
def sign_up(new: UserCreate, session: OpenSession) -> User:
    """Create an account."""
    user = User(username=new.username, full_name=new.full_name, password_hash=hash_password(new.password))
    session.add(user)
    try:
        session.commit()
    except IntegrityError as error:
        raise Taken(f"the username {new.username} is taken") from error
    return user


@router.post("/token")
def log_in(form: Annotated[OAuth2PasswordRequestForm, Depends()], session: OpenSession, now: Now) -> Token:
    """Exchange a name and a password for a token."""
    user = session.exec(select(User).where(User.username == form.username)).first()
    if not password_is_right(form.password, user.password_hash if user else None):
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Incorrect username or password", headers={"WWW-Authenticate": "Bearer"}
        )
    return Token(access_token=make_token(form.username, now))


@router.get("/users/me", response_model=UserPublic)
def read_me(user: CurrentUser) -> User:
    """Who the token names."""
    return user


@admin.get("/users", response_model=list[UserPublic])
def list_users(session: OpenSession) -> Sequence[User]:
    """Everybody who signed up."""
    return session.exec(select(User).order_by(User.username)).all()
