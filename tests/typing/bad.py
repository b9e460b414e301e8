"""Uses of the options that type checkers refuse: each line marked `# error` must be reported, and no other."""

from ferroapi import APIRouter, Body, FastAPI, Query

app = FastAPI(titel="Items")  # error
router = APIRouter(prefix=1)  # error

app.get("/", responsemodel=int)  # error
app.get("/", status_code="201")  # error
app.get("/", methods=["GET"])  # error
router.post(1)  # error
router.api_route("/", methods="GET")  # error
app.api_route("/", callbacks=[])  # error
app.include_router(router, prefix="/v1", tag=["a"])  # error
app.add_api_route("/", len, route_class_override=None)  # error

first = Query(minimum=1)  # error
second = Query(embed=True)  # error
third = Body(convert_underscores=True)  # error
