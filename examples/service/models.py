"""The tables, and the shapes that travel: what a client sends (`…Create`, `…Update`) and what it gets (`…Public`)."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, StringConstraints, model_validator
from sqlmodel import JSON, Field, Relationship, SQLModel

# SQLite forgets the time zone; every moment in this service is UTC.
Moment = Annotated[datetime, AfterValidator(lambda moment: moment.replace(tzinfo=UTC))]
Tag = Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$", max_length=20)]


class UserBase(SQLModel):
    username: str = Field(min_length=2, max_length=30, unique=True, index=True, regex="^[a-z][a-z0-9_]*$")
    full_name: str | None = Field(default=None, max_length=80)


class User(UserBase, table=True):
    id: int | None = Field(default=None, primary_key=True)
    password_hash: str
    is_admin: bool = False
    items: list["Item"] = Relationship(back_populates="owner")


class UserCreate(UserBase):
    password: str = Field(min_length=8, max_length=100)


class UserPublic(UserBase):
    id: int


class Condition(StrEnum):
    new = "new"
    good = "good"
    worn = "worn"


class Size(BaseModel):
    """Outer measures in centimetres."""

    width: float = Field(gt=0)
    height: float = Field(gt=0)
    depth: float = Field(gt=0)


class Part(BaseModel):
    """Something that comes along in the box."""

    name: str = Field(min_length=1)
    count: int = Field(default=1, ge=1)
    size: Size | None = None


class Item(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    description: str | None = None
    daily_price: int
    condition: Condition
    tags: list[str] = Field(sa_type=JSON)
    size: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    parts: list[dict[str, Any]] = Field(sa_type=JSON)
    created_at: datetime
    owner_id: int = Field(foreign_key="user.id")
    owner: User = Relationship(back_populates="items")
    attachments: list["Attachment"] = Relationship(back_populates="item", cascade_delete=True)


class ItemCreate(BaseModel):
    name: str = Field(min_length=1, max_length=80, schema_extra={"examples": ["Cordless drill"]})
    description: str | None = None
    daily_price: int = Field(ge=0, le=1_000_000, description="In cents.")
    condition: Condition = Condition.good
    tags: set[Tag] = Field(default=set(), max_length=5)
    size: Size | None = None
    parts: list[Part] = []

    @model_validator(mode="after")
    def a_worn_tool_is_cheap(self) -> "ItemCreate":
        if self.condition is Condition.worn and self.daily_price > 1000:
            raise ValueError("a worn tool costs at most 1000 cents a day")
        return self


class ItemUpdate(BaseModel):
    """Only the fields that are sent are changed."""

    description: str | None = None
    daily_price: int = Field(default=0, ge=0, le=1_000_000, description="In cents.")
    condition: Condition = Condition.good


class Attachment(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    filename: str
    content_type: str
    item_id: int | None = Field(default=None, foreign_key="item.id")
    item: Item = Relationship(back_populates="attachments")


class AttachmentPublic(BaseModel):
    id: int
    filename: str
    content_type: str


class ItemPublic(BaseModel):
    id: int
    name: str
    description: str | None
    daily_price: int
    condition: Condition
    tags: list[str]
    size: Size | None
    parts: list[Part]
    created_at: Moment
    owner: UserPublic
    attachments: list[AttachmentPublic]


class ItemFilter(BaseModel):
    """The query of a listing."""

    model_config = {"extra": "forbid"}

    text: str | None = Field(default=None, description="Part of the name.")
    condition: list[Condition] = []
    order: Literal["name", "daily_price", "created_at"] = "name"
    offset: int = Field(default=0, ge=0, le=1_000_000)
    limit: int = Field(default=20, gt=0, le=100)


class Token(BaseModel):
    access_token: str
    token_type: Literal["bearer"] = "bearer"


class Event(BaseModel):
    """Something that happened, as the live channel tells it."""

    kind: Literal["listed", "removed", "note"]
    by: str
    text: str


class Problem(BaseModel):
    """An error of this service (RFC 9457)."""

    title: str
    status: int
    detail: str
