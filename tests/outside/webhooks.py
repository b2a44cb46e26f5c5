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
_TRY_IN_GO = """
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	var given struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.Unmarshal([]byte(os.Getenv("GIVEN")), &given); err != nil {
		panic(err)
	}
	header := http.Header{}
	for name, value := range given.Headers {
		header.Set(name, value)
	}
	other := "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	late := header.Clone()
	late.Set("webhook-timestamp", "1700000000")
	fmt.Println(
		Verify(given.Secret, header, []byte(given.Body)) == nil,
		Verify(given.Secret, header, []byte(given.Body+" ")) != nil,
		Verify(other, header, []byte(given.Body)) != nil,
		Verify(given.Secret, late, []byte(given.Body)) != nil,
	)
}
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
            _go(world, secret, got)
        removed = world.http.delete(path)
        check(removed.status_code == 200, removed.text)
    world.figure(
        "signatures of either secret verified, forged ones refused", "npm, PyPI standardwebhooks; Go", "6 of 6"
    )


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


def _go(world: World, secret: str, got: Received) -> None:
    folder = world.folder / "receiver"
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("module headgate\n\ngo 1.22\n")
    (folder / "verify.go").write_text(snippet("go").replace("package headgate", "package main"))
    (folder / "main.go").write_text(_TRY_IN_GO)
    given = json.dumps({"Secret": secret, "Headers": dict(got.headers), "Body": got.body.decode()})
    # Nothing but the standard library, and no toolchain of another version: nothing is fetched.
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    kept = {"GOCACHE": str(world.folder / "go-cache"), "GOPATH": str(world.folder / "go-path")}
    status, said = run([world.tools.go, "run", "."], 120, folder, GIVEN=given, **offline, **kept)
    check(status == 0, said)
    check(said.split() == ["true"] * 4, said)
