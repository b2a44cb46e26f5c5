"""Badges on real servers: never GO for what would not be admitted at that moment."""

from __future__ import annotations

import base64
import zlib
from typing import Any

from defusedxml.ElementTree import fromstring

from libs.common.contracts.governance.badges import get_badge
from libs.common.contracts.governance.halts import stop_line
from tests.http_edge import Http
from tests.integration.governance_desk import report, run, send_ops, send_release, start
from tests.integration.test_governance_validity import go, rejudge
from tests.stack import Stack
from tests.unit.governance.samples import case, junit


async def word(stack: Stack, **wanted: str) -> str:
    answer = await stack.query(get_badge, {"gate": "release", "subject": "app", **wanted})
    assert answer.status == 200, answer
    return said(zlib.decompress(base64.b64decode(answer.json["content_zlib_base64"])))


def said(picture: bytes) -> str:
    """What a picture says of what, such as ``release app 1.0: GO``."""
    title = fromstring(picture).find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    return str(title.text)


async def test_it_says_what_would_be_admitted(stack: Stack) -> None:
    await start(stack)
    assert await word(stack) == "release app: unknown"
    assert await word(stack, version="1.0") == "release app 1.0: unknown"
    await go(stack)
    assert await word(stack) == await word(stack, version="1.0") == "release app 1.0: GO"
    stack.clock.advance(minutes=16)
    assert await word(stack) == "release app 1.0: expired", "nothing has run since, and yet it is over"
    await rejudge(stack)
    assert await word(stack) == "release app 1.0: NO-GO"


async def test_a_newer_fact_or_a_halt_ends_it_at_once(stack: Stack) -> None:
    await start(stack)
    await go(stack)
    await report(stack, "junit", junit(case("a", "<failure/>"), case("b")), subject="app", version="1.0")
    assert await word(stack) == "release app 1.0: expired"
    await go(stack, "2.0")
    assert await word(stack) == "release app 2.0: GO"
    await stack.command(stop_line, {"subjects": "*", "reason": "A leak is being looked for."})
    assert await word(stack) == "release app 2.0: expired"
    assert await word(stack, version="1.0") == "release app 1.0: expired"


async def test_an_artifact_that_was_not_judged_is_unknown(stack: Stack) -> None:
    await start(stack)
    await send_release(stack, "1.0")
    mine, other = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    made = await run(stack, "release", subject="app", version="1.0", artifact_digest=mine)
    assert (made["artifact_digest"], made["decision"]) == (mine, "go")
    assert await word(stack, version="1.0", artifact_digest=mine) == "release app 1.0: GO"
    assert await word(stack, version="1.0") == await word(stack) == "release app 1.0: GO"
    assert await word(stack, version="1.0", artifact_digest=other) == "release app 1.0: unknown"


async def test_a_site_has_one_and_what_does_not_fit_is_refused(stack: Stack) -> None:
    await start(stack)
    await send_ops(stack)
    await run(stack)
    answer: Any = (await stack.query(get_badge, {"gate": "operations"})).json
    assert said(zlib.decompress(base64.b64decode(answer["content_zlib_base64"]))) == "operations global: GO"
    for wanted, status in (({"gate": "release"}, 422), ({"gate": "nothing"}, 404)):
        assert (await stack.query(get_badge, wanted)).status == status


async def test_a_browser_asks_each_time_and_strangers_see_nothing(stack: Stack) -> None:
    await start(stack)
    http = await Http(stack).open()
    try:
        path, of = "/api/gates/release/badge.svg", {"subject": 'a"/><script>', "version": "1.0"}
        answer = await http.client.get(path, params=of)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert said(answer.content) == 'release a"/><script> 1.0: unknown'
        again = await http.client.get(path, params=of, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
        assert (await http.of(None).get(path, params=of)).status_code == 401
    finally:
        await http.close()
