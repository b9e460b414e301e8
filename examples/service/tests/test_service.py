"""The service's own tests, as its authors would write them."""

from datetime import UTC, datetime

import pytest

from ferroapi.testclient import TestClient
from ferroapi.websockets import WebSocketDisconnect
from service.dependencies import get_current_user
from service.main import app
from service.models import User
from service.security import get_now, make_token

DRILL = {"name": "Drill", "daily_price": 450, "tags": ["power"], "parts": [{"name": "Battery", "count": 2}]}


def test_sign_up_then_log_in_then_me(client: TestClient) -> None:
    new = {"username": "grace", "password": "nanosecond"}
    assert client.post("/users", json=new).status_code == 201
    token = client.post("/token", data=new).json()["access_token"]
    me = client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    assert me.json() == {"id": 2, "username": "grace", "full_name": None}


def test_username_is_taken(client: TestClient) -> None:
    answer = client.post("/users", json={"username": "ada", "password": "nanosecond"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"title": "Already taken", "status": 409, "detail": "the username ada is taken"}


def test_token_grows_old(ada: TestClient) -> None:
    app.dependency_overrides[get_now] = lambda: datetime(2020, 1, 1, tzinfo=UTC)
    token = ada.post("/token", data={"username": "ada", "password": "lovelace"}).json()["access_token"]
    assert ada.get("/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_only_administrators_list_users(client: TestClient) -> None:
    app.dependency_overrides[get_current_user] = lambda: User(id=7, username="grace", password_hash="")
    assert client.get("/admin/users").status_code == 403


def test_item_is_kept(ada: TestClient) -> None:
    added = ada.post("/items", json=DRILL)
    assert added.status_code == 201
    kept = ada.get(added.headers["location"]).json()
    assert kept == added.json()
    assert kept["created_at"] == "2100-01-01T12:00:00Z"
    assert kept["owner"]["username"] == "ada"
    assert kept["parts"] == [{"name": "Battery", "count": 2, "size": None}]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"daily_price": -1}, ["daily_price"]),
        ({"tags": ["NOT OK"]}, ["tags", 0]),
        (
            {"parts": [{"name": "Case"}, {"name": "Lid", "size": {"width": 1, "height": 0, "depth": 1}}]},
            ["parts", 1, "size", "height"],
        ),
        ({"condition": "worn", "daily_price": 2000}, []),
    ],
)
def test_wrong_item_is_refused_where_it_is_wrong(ada: TestClient, change: dict[str, object], place: list[str]) -> None:
    answer = ada.post("/items", json=DRILL | change)
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["detail"]] == [["body", *place]]


def test_item_is_changed_and_removed_by_its_owner_only(ada: TestClient) -> None:
    ada.post("/items", json=DRILL)
    assert ada.patch("/items/1", json={"daily_price": 300}).json()["daily_price"] == 300
    ada.post("/users", json={"username": "grace", "password": "nanosecond"})
    token = ada.post("/token", data={"username": "grace", "password": "nanosecond"}).json()["access_token"]
    assert ada.delete("/items/1", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert ada.delete("/items/1").status_code == 204
    assert ada.get("/items/1").status_code == 404


def test_file_goes_up_and_comes_down(ada: TestClient) -> None:
    ada.post("/items", json=DRILL)
    kept = ada.post("/items/1/files", files={"file": ("manual.txt", b"Press the button.", "text/plain")}).json()
    down = ada.get(f"/items/1/files/{kept['id']}")
    assert down.content == b"Press the button."
    assert down.headers["content-disposition"] == 'attachment; filename="manual.txt"'
    part = ada.get(f"/items/1/files/{kept['id']}", headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.content) == (206, b"Press")


def test_listeners_hear_of_new_items_and_notes(ada: TestClient) -> None:
    token = make_token("ada", datetime(2100, 1, 1, tzinfo=UTC))
    with ada.websocket_connect(f"/events/live?token={token}") as live:
        ada.post("/items", json=DRILL)
        assert live.receive_json() == {"kind": "listed", "by": "ada", "text": "Drill"}
        live.send_text("It is loud.")
        assert live.receive_json() == {"kind": "note", "by": "ada", "text": "It is loud."}
    assert [event["kind"] for event in ada.get("/events").json()] == ["listed", "note"]


def test_listening_needs_a_token(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/events/live?token=no"):
        pass
    assert closed.value.code == 1008


def test_answers_are_named_and_open_to_the_front_end(client: TestClient) -> None:
    answer = client.get("/", headers={"Origin": "http://localhost:5173", "X-Request-ID": "42"})
    assert answer.headers["x-request-id"] == "42"
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
