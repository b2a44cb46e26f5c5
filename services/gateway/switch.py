"""Routes whose path has no braces, found by one look into a table instead of one comparison after another."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send


class Switch(BaseRoute):
    """Stands for many routes without braces, and answers as the first of them would that fits."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes: dict[str, dict[str, Route]] = {}
        for route in routes:
            for method in route.methods or ():
                self._routes.setdefault(route.path, {}).setdefault(method, route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Full with path and method, partial with the path alone (which becomes a 405)."""
        if scope["type"] != "http" or (found := self._routes.get(scope["path"])) is None:
            return Match.NONE, {}
        route = found.get(scope["method"])
        match = Match.PARTIAL if route is None else Match.FULL
        return match, {"endpoint": self, "path_params": {}, "headgate.route": route or next(iter(found.values()))}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the route that was found."""
        await scope["headgate.route"].handle(scope, receive, send)


def switched(routes: Sequence[Route]) -> list[BaseRoute]:
    """The same routes in the order in which the router should try them: all without braces in one look, then the rest.

    No name in braces can hide a literal path then.
    """
    return [Switch([route for route in routes if "{" not in route.path]), *(r for r in routes if "{" in r.path)]
