"""The engine, which lives as long as the application, and the session, which lives as long as a request."""

from collections.abc import Iterator
from typing import Annotated

from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, create_engine, select

from ferroapi import Depends
from ferroapi.requests import HTTPConnection

from .config import settings
from .models import User
from .security import hash_password


def open_database() -> Engine:
    """Open the database; a new one gets its tables and the first user, who is the administrator."""
    settings.data.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{settings.data / 'service.db'}", connect_args={"check_same_thread": False})
    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        if session.exec(select(User)).first() is None:
            password_hash = hash_password(settings.first_password.get_secret_value())
            session.add(User(username=settings.first_username, password_hash=password_hash, is_admin=True))
            session.commit()
    return engine


def get_session(connection: HTTPConnection) -> Iterator[Session]:
    """Open a session, and close it once the answer is sent."""
    with Session(connection.state.engine) as session:
        yield session


OpenSession = Annotated[Session, Depends(get_session)]
