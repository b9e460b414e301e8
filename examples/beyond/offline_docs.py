"""Documentation pages that need no other host."""

from ferroapi import FastAPI

app = FastAPI(docs_assets="bundled")


@app.get("/items/{item_id}", summary="Show an item")
async def item(item_id: int) -> dict[str, int]:
    return {"item": item_id}
