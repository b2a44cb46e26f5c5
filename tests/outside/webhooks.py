"""What we send, checked by receivers' libraries of Standard Webhooks, with the very code of docs/notifications.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.outside.tools import HERE, run
from tests.outside.world import World, check, until
from tests.receiver import Received, Receiver

PAGE = Path(__file__).parents[2] / "docs" / "notifications.md"
_TRY_IN_NODE = """
const [secret, headers, body] = JSON.parse(process.env.GIVEN);
const seen = eventOf(secret, headers, body).type;
const refuses = (...given) => { try { eventOf(...given); return false } catch { return true } };
const forged = refuses(secret, headers, body + " ");
const other = refuses("whsec_" + Buffer.alloc(32).toString("base64"), headers, body);
console.log(JSON.stringify([seen, forged, other]));
"""


def step(world: World) -> None:
    """Subscribe, rotate, and let each library check what comes with either secret."""
    with Receiver() as receiver:
        body = {"name": "outside", "event_types": ["notifier.*"], "endpoint": receiver.url}
        made = world.post("/api/subscriptions", status=201, json=body)
        path = f"/api/subscriptions/{made['subscription_id']}"
        turned = world.post(f"{path}/rotate", status=200, json={})
        tested = world.post(f"{path}/test", status=200, json={})
        got = until("the sample", lambda: _sample(receiver, tested["event_id"]))
        for secret in (made["signing_secret"], turned["signing_secret"]):
            _python(secret, got)
            _node(world, secret, got)
        removed = world.http.delete(path)
        check(removed.status_code == 200, removed.text)
    world.figure("signatures of either secret verified, forged ones refused", "npm and PyPI standardwebhooks", "4 of 4")


def _sample(receiver: Receiver, event_id: str) -> Received | None:
    return next((one for one in list(receiver.got) if one.headers["webhook-id"].startswith(event_id)), None)


def snippet(language: str) -> str:
    """The code of the page in this language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def _python(secret: str, got: Received) -> None:
    made: dict[str, Any] = {}
    exec(snippet("python"), made)  # our own page
    event_of = made["event_of"]
    check(event_of(secret, dict(got.headers), got.body)["type"].endswith("subscription.tested.v1"), "another event")
    try:
        event_of(secret, dict(got.headers), got.body + b" ")
    except Exception as error:
        check(type(error).__name__ == "WebhookVerificationError", repr(error))
    else:
        check(False, "a forged body was taken")


def _node(world: World, secret: str, got: Received) -> None:
    code = snippet("js").replace("export const", "const") + _TRY_IN_NODE
    given = json.dumps([secret, dict(got.headers), got.body.decode()])
    status, said = run([world.tools.node, "--input-type=module", "-e", code], 30, HERE, GIVEN=given)
    check(status == 0, said)
    check(json.loads(said) == ["headgate.notifier.subscription.tested.v1", True, True], said)
