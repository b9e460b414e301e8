"""A service that Ray Serve runs: endpoints are methods of a class, of which each replica has one instance.

FERROAPI_ALIAS=1 serve run service:application
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated

from pydantic import BaseModel, Field
from ray import serve

from ferroapi import Depends, FastAPI, Header, HTTPException, Request, WebSocket, WebSocketDisconnect
from ferroapi.responses import StreamingResponse

app = FastAPI(title="Greetings", version="1.0")


class Greeting(BaseModel):
    text: str
    release: str
    process: int


class Person(BaseModel):
    name: str = Field(min_length=1)


async def customer(x_customer: Annotated[str | None, Header()] = None) -> str:
    """The customer that the header names; a real service would check a token here."""
    if x_customer is None:
        raise HTTPException(401, "Say who you are in the header x-customer")
    return x_customer


@serve.deployment(
    num_replicas=2,
    max_ongoing_requests=50,
    graceful_shutdown_timeout_s=20,
    health_check_period_s=5,
    # One core for each replica on a real cluster; two replicas and Ray's own processes share two cores in the test.
    ray_actor_options={"num_cpus": 0.2, "runtime_env": {"env_vars": {"FERROAPI_ALIAS": "1"}}},
)
@serve.ingress(app)
class Service:
    def __init__(self, release: str) -> None:
        # What is expensive to load, such as a model, is loaded here: once in each replica.
        self.release = release

    def check_health(self) -> None:
        """Ray calls this every `health_check_period_s`, and replaces the replica if it raises."""

    def greeting(self, name: str) -> Greeting:
        return Greeting(text=f"Hello {name}", release=self.release, process=os.getpid())

    @app.get("/greetings/{name}")
    async def read(self, name: str, wait: Annotated[float, "seconds"] = 0.0) -> Greeting:
        await asyncio.sleep(wait)
        return self.greeting(name)

    @app.get("/engine")
    def engine(self, request: Request) -> dict[str, str]:
        """Say how each endpoint is run, by the application of this replica: a copy of the one above."""
        return {row.path: row.mode for row in request.app.explain()}

    @app.get("/blocking/{name}")
    def read_in_a_thread(self, name: str) -> Greeting:
        return self.greeting(name)

    @app.post("/greetings", status_code=201)
    async def write(self, person: Person, greeted_by: Annotated[str, Depends(customer)]) -> Greeting:
        return self.greeting(f"{person.name}, from {greeted_by}")

    @app.get("/countdown/{start}")
    async def count_down(self, start: int) -> StreamingResponse:
        async def numbers() -> AsyncIterator[str]:
            for number in range(start, 0, -1):
                yield f"{number}\n"
                await asyncio.sleep(0.05)

        return StreamingResponse(numbers(), media_type="text/plain")

    @app.websocket("/echo")
    async def echo(self, websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(f"{self.release}: {await websocket.receive_text()}")
        except WebSocketDisconnect:
            pass


application = Service.bind("1")
"""What `serve run service:application` deploys."""
