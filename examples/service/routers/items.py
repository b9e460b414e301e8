"""The tools: list, show, add, change, remove. Everything here needs a token."""

from collections.abc import Sequence
from typing import Annotated

from sqlmodel import col, select

from ferroapi import APIRouter, BackgroundTasks, Depends, Query, Response, status

from ..channel import LiveChannel
from ..database import OpenSession
from ..dependencies import CurrentUser, OwnItem, StoredItem, get_current_user
from ..models import Event, Item, ItemCreate, ItemFilter, ItemPublic, ItemUpdate, Problem
from ..security import Now
from ..storage import path_of, remove

router = APIRouter(
    prefix="/items",
    tags=["items"],
    dependencies=[Depends(get_current_user)],
    responses={404: {"model": Problem, "description": "No such item"}},
)


@router.get("", response_model=list[ItemPublic])
def list_items(wanted: Annotated[ItemFilter, Query()], session: OpenSession) -> Sequence[Item]:
    """Find tools."""
    query = select(Item).order_by(col(getattr(Item, wanted.order)), col(Item.id))
    if wanted.text is not None:
        query = query.where(col(Item.name).contains(wanted.text))
    if wanted.condition:
        query = query.where(col(Item.condition).in_(wanted.condition))
    return session.exec(query.offset(wanted.offset).limit(wanted.limit)).all()


@router.post("", response_model=ItemPublic, status_code=status.HTTP_201_CREATED)
def add_item(
    new: ItemCreate,
    response: Response,
    user: CurrentUser,
    session: OpenSession,
    now: Now,
    channel: LiveChannel,
    background: BackgroundTasks,
) -> Item:
    """List a tool, and tell those who listen once the answer is sent."""
    fields = new.model_dump(mode="json") | {"condition": new.condition, "tags": sorted(new.tags)}
    item = Item(**fields, created_at=now, owner=user)
    session.add(item)
    session.commit()
    response.headers["Location"] = f"/items/{item.id}"
    background.add_task(channel.publish, Event(kind="listed", by=user.username, text=item.name))
    return item


@router.get("/{item_id}", response_model=ItemPublic)
def read_item(item: StoredItem) -> Item:
    """Show one tool."""
    return item


@router.patch("/{item_id}", response_model=ItemPublic)
def change_item(change: ItemUpdate, item: OwnItem, session: OpenSession) -> Item:
    """Change a tool of your own."""
    item.sqlmodel_update(change.model_dump(exclude_unset=True))
    session.commit()
    return item


@router.delete("/{item_id}", status_code=status.HTTP_204_NO_CONTENT)
def remove_item(
    item: OwnItem, user: CurrentUser, session: OpenSession, channel: LiveChannel, background: BackgroundTasks
) -> None:
    """Remove a tool of your own."""
    background.add_task(channel.publish, Event(kind="removed", by=user.username, text=item.name))
    background.add_task(remove, [path_of(attachment) for attachment in item.attachments])
    session.delete(item)
    session.commit()
