"""What routes ask for besides the session: the current user, an item, an item the user may change."""

from typing import Annotated

from sqlmodel import select

from ferroapi import Depends, HTTPException, Path, status

from .database import OpenSession
from .errors import NotFound, NotYours
from .models import Item, User
from .security import get_username

# What SQLite can hold.
RowId = Annotated[int, Path(gt=0, lt=2**63)]


def get_current_user(username: Annotated[str, Depends(get_username)], session: OpenSession) -> User:
    """Return the user the token names."""
    user = session.exec(select(User).where(User.username == username)).first()
    if user is None:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "This user is gone", headers={"WWW-Authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


def require_admin(user: CurrentUser) -> None:
    """Let only administrators pass."""
    if not user.is_admin:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Only for administrators")


def get_item(item_id: RowId, session: OpenSession) -> Item:
    """Return the item the path names."""
    item = session.get(Item, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    return item


StoredItem = Annotated[Item, Depends(get_item)]


def get_own_item(item: StoredItem, user: CurrentUser) -> Item:
    """Return the item the path names, if it belongs to the current user."""
    if item.owner_id != user.id:
        raise NotYours(f"item {item.id} belongs to {item.owner.username}")
    return item


OwnItem = Annotated[Item, Depends(get_own_item)]
