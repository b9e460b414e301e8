"""A stream that is a 404 where there is nothing to stream."""

from collections.abc import AsyncIterator

from ferroapi import FastAPI, HTTPException

app = FastAPI()
LOGS = {"today": ["one", "two"]}


@app.get("/logs/{day}", wait_for_first_item=True)
async def log(day: str) -> AsyncIterator[str]:
    if day not in LOGS:
        raise HTTPException(404, "no log of that day")
    for line in LOGS[day]:
        yield line
