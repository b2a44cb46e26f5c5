"""Paths without braces are found in one look, and answered just as a list of routes would."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.testclient import TestClient

from services.gateway.switch import Switch, switched


def _route(path: str, method: str, word: str) -> Route:
    async def answer(request: Request) -> Response:
        return Response(f"{word} {request.path_params}")

    return Route(path, answer, methods=[method])


ROUTES = [
    _route("/items", "GET", "list"),
    _route("/items", "POST", "make"),
    _route("/items/{item_id}", "GET", "show"),
    _route("/items/newest", "GET", "newest"),
    _route("/items/{item_id}", "PATCH", "patch"),
]


def test_each_request_finds_its_route() -> None:
    client = TestClient(Router(routes=switched(ROUTES), redirect_slashes=False))
    assert client.get("/items").text == "list {}"
    assert client.head("/items").status_code == 200
    assert client.post("/items").text == "make {}"
    assert client.get("/items/newest").text == "newest {}"
    assert client.get("/items/7").text == "show {'item_id': '7'}"
    assert client.patch("/items/newest").text == "patch {'item_id': 'newest'}", "braces take what no literal takes"
    assert client.delete("/items").status_code == 405
    assert client.get("/items/").status_code == client.get("/nothing").status_code == 404


def test_a_known_path_with_another_method_is_a_partial_match() -> None:
    switch = Switch(ROUTES[:2])
    scope = {"type": "http", "path": "/items", "method": "PUT"}
    assert switch.matches(scope)[0] is Match.PARTIAL
    assert switch.matches(scope | {"method": "HEAD"})[0] is Match.FULL
    assert switch.matches(scope | {"path": "/item"})[0] is Match.NONE
    assert switch.matches({"type": "websocket", "path": "/items"})[0] is Match.NONE
