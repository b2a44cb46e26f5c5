"""The security headers of every answer (OWASP: secure headers; ASVS 5, V3.4): what nothing below has said is added."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A browser that is shown an answer of the API runs nothing of it and shows it in no frame.
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
)
_OWN = b"cross-origin-resource-policy", b"same-origin"
_ANYBODYS = b"cross-origin-resource-policy", b"cross-origin"  # badges stand in pages of others
_KEPT = b"strict-transport-security", b"max-age=31536000"


def secured(headers: list[tuple[bytes, bytes]], scheme: str) -> list[tuple[bytes, bytes]]:
    """The headers with those that are missing; ``scheme`` is how the caller came, past proxies that are trusted.

    Names are in lower case, as ASGI has them. Only who came by https is told to come so for a year.
    """
    there = {name for name, _ in headers}
    found = headers + [one for one in _ALWAYS if one[0] not in there]
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    if _OWN[0] not in there:
        found.append(_ANYBODYS if kind.startswith(b"image/") else _OWN)
    if b"cache-control" not in there:
        found.append((b"cache-control", b"no-store"))
    if scheme == "https":
        found.append(_KEPT)
    return found


class Secured:
    """An application whose answers have the headers: the pages of the services behind the edge."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = secured(list(message["headers"]), scope["scheme"])
            await send(message)

        await self._app(scope, receive, send_secured)
