import pytest

from ferroapi import BackgroundTasks


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_background_tasks_run_in_order_and_may_add_tasks() -> None:
    calls: list[object] = []
    tasks = BackgroundTasks()

    async def first(name: str) -> None:
        calls.append(name)
        tasks.add_task(calls.append, "added")

    tasks.add_task(first, name="first")
    tasks.add_task(calls.append, "second")
    await tasks()
    assert calls == ["first", "second", "added"]


@pytest.mark.anyio
async def test_background_task_that_fails_stops_the_rest() -> None:
    calls: list[object] = []

    def fail() -> None:
        raise ValueError("no")

    tasks = BackgroundTasks()
    tasks.add_task(fail)
    tasks.add_task(calls.append, 1)
    with pytest.raises(ValueError, match="no"):
        await tasks()
    assert calls == []
