"""The example of Ray Serve on two replicas of one machine, under the alias.

`make test-ray` runs it, in an environment of its own: Ray is no dependency of the project.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
import websockets
import yaml
from ray import serve
from ray.serve.schema import ServeDeploySchema

import ferroapi
import service

PORT = 8237
ADDRESS = f"http://127.0.0.1:{PORT}"
WORKING_DIRECTORY = Path(service.__file__).parent


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start Ray with a small object store, and Serve's proxy at a port of its own."""
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80 * 1024 * 1024,
        runtime_env={"working_dir": str(WORKING_DIRECTORY), "env_vars": {"FERROAPI_ALIAS": "1"}},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(service.application)
    yield
    serve.shutdown()
    ray.shutdown()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(base_url=ADDRESS, timeout=30) as client:
        yield client


def test_the_alias_is_there_before_ray() -> None:
    assert serve.api.FastAPI is ferroapi.FastAPI


def test_both_replicas_answer(client: httpx.Client) -> None:
    answers = [client.get("/greetings/Ada").json() for _ in range(40)]
    assert {(answer["text"], answer["release"]) for answer in answers} == {("Hello Ada", "1")}
    processes = {answer["process"] for answer in answers}
    assert len(processes) == 2 and os.getpid() not in processes


def test_replicas_run_the_engine(client: httpx.Client) -> None:
    modes = client.get("/engine").json()
    assert {mode for path, mode in modes.items() if path.startswith(("/greetings", "/blocking"))} == {"native"}


def test_endpoint_in_a_thread_answers(client: httpx.Client) -> None:
    assert client.get("/blocking/Ada").json()["text"] == "Hello Ada"


def test_dependency_body_and_errors_are_as_anywhere(client: httpx.Client) -> None:
    refused = client.post("/greetings", json={"name": "Ada"})
    assert (refused.status_code, refused.json()["detail"]) == (401, "Say who you are in the header x-customer")
    invalid = client.post("/greetings", json={"name": ""}, headers={"x-customer": "Bob"})
    assert (invalid.status_code, invalid.json()["detail"][0]["loc"]) == (422, ["body", "name"])
    written = client.post("/greetings", json={"name": "Ada"}, headers={"x-customer": "Bob"})
    assert (written.status_code, written.json()["text"]) == (201, "Hello Ada, from Bob")


def test_document_shows_no_self(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    parameters = document["paths"]["/greetings/{name}"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["name", "wait"]


def test_stream_arrives_piece_by_piece(client: httpx.Client) -> None:
    with client.stream("GET", "/countdown/4") as response:
        pieces = list(response.iter_text())
    assert "".join(pieces) == "4\n3\n2\n1\n"
    assert len(pieces) > 1


def test_websocket_stays_with_one_replica() -> None:
    async def converse() -> list[Any]:
        async with websockets.connect(f"ws://127.0.0.1:{PORT}/echo") as socket:
            heard = []
            for text in ("one", "two", "three"):
                await socket.send(text)
                heard.append(await socket.recv())
            return heard

    heard = asyncio.run(converse())
    assert [line.partition(" ")[2] for line in heard] == ["one", "two", "three"]
    assert len({line.partition(" ")[0] for line in heard}) == 1


def test_upgrade_loses_no_request() -> None:
    answers: list[httpx.Response] = []
    upgraded = asyncio.Event()

    async def keep_asking(client: httpx.AsyncClient) -> None:
        while not upgraded.is_set():
            answers.append(await client.get("/greetings/Ada", params={"wait": 0.05}))

    async def upgrade() -> None:
        limits = httpx.Limits(max_connections=8)
        client = httpx.AsyncClient(base_url=ADDRESS, timeout=60, limits=limits)
        async with client, asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(keep_asking(client))
            await asyncio.sleep(1)
            await asyncio.to_thread(serve.run, service.Service.bind("2"))
            await asyncio.sleep(1)
            upgraded.set()

    asyncio.run(upgrade())
    assert {answer.status_code for answer in answers} == {200}
    releases = [answer.json()["release"] for answer in answers]
    assert set(releases) == {"1", "2"}
    # Once it is done, nobody is answered by the old one.
    assert set(releases[-16:]) == {"2"}
    print(
        f"{len(releases)} requests during the upgrade: {releases.count('1')} old, {releases.count('2')} new, none lost"
    )


def test_a_replica_that_dies_is_replaced(client: httpx.Client) -> None:
    dead = client.get("/greetings/Ada").json()["process"]
    os.kill(dead, 9)

    async def ask_until_two() -> set[int]:
        async with httpx.AsyncClient(base_url=ADDRESS, timeout=30) as asker:
            seen: set[int] = set()
            while len(seen) < 2:
                answer = await asker.get("/greetings/Ada")
                if answer.status_code == 200:
                    seen |= {answer.json()["process"]} - {dead}
            return seen

    assert dead not in asyncio.run(asyncio.wait_for(ask_until_two(), 60))


def test_replicas_are_added_under_load() -> None:
    # Looked at more often than is wise for a cluster, so that the test need not wait.
    settings = {
        **{"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 1},
        **{"upscale_delay_s": 1, "look_back_period_s": 2, "metrics_interval_s": 1},
    }
    growing = service.Service.options(num_replicas=None, autoscaling_config=settings)
    serve.run(growing.bind("3"), name="growing", route_prefix="/growing")

    async def ask() -> tuple[set[int], set[int]]:
        async with httpx.AsyncClient(base_url=f"{ADDRESS}/growing", timeout=60) as client:
            alone = {(await client.get("/greetings/Ada")).json()["process"] for _ in range(10)}
            seen: set[int] = set()
            while len(seen) < 2:
                requests = (client.get("/greetings/Ada", params={"wait": 0.5}) for _ in range(8))
                seen |= {answer.json()["process"] for answer in await asyncio.gather(*requests)}
            return alone, seen

    alone, together = asyncio.run(asyncio.wait_for(ask(), 100))
    assert len(alone) == 1 and alone < together


def test_settings_for_a_cluster_are_such_as_ray_knows() -> None:
    settings = ServeDeploySchema.model_validate(yaml.safe_load((WORKING_DIRECTORY / "serve.yaml").read_text()))
    (application,) = settings.applications
    assert application.import_path == "service:application"
    (deployment,) = application.deployments
    assert deployment.name == service.Service.name
    assert (deployment.autoscaling_config["min_replicas"], deployment.autoscaling_config["max_replicas"]) == (2, 20)
