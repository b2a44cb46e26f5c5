"""Decisions as CDEvents: the shape of ``approval.closed`` as its published schema has it, in words of our own."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.cdevents import TYPE, as_cdevent

CONTEXT = {"specversion", "id", "source", "type", "timestamp"}
CONTENT = {"approvalDetailsUrl", "resourceTargetUrl", "responder", "decision", "status"}


def ours(name: str, **data: Any) -> bytes:
    told = {"gate": "release", "site": "global", "subject": "acme/shop", "version": "1.0+7", "reasons": ["x"], **data}
    return orjson.dumps(
        {
            "specversion": "1.0", "id": "e1", "source": "/headgate/governance", "time": "2026-03-01T12:00:00Z",
            "type": f"headgate.governance.{name}.v1", "data": told,
        }
    )  # fmt: skip


def check_shape(event: dict[str, Any]) -> dict[str, Any]:
    """Raises unless it is a CloudEvent with a CDEvent of the closed approval; gives its content."""
    cdevent = event["data"]
    context, subject = cdevent["context"], cdevent["subject"]
    assert set(cdevent) == {"context", "subject", "customData"}
    assert set(context) == CONTEXT
    assert set(subject) == {"id", "source", "content"}
    content: dict[str, Any] = subject["content"]
    assert set(content) == CONTENT
    assert all(isinstance(value, str) and value for value in (*context.values(), *content.values(), subject["id"]))
    assert content["decision"] in ("escalated", "delegate", "deferred", "requestChanges", "approved", "rejected")
    assert content["status"] in ("approved", "rejected", "cancelled", "expired")
    assert context["type"] == event["type"] == TYPE
    # The binding to CloudEvents asks for these to be the same.
    assert (event["id"], event["source"], event["time"]) == (context["id"], context["source"], context["timestamp"])
    assert event["subject"] == subject["id"]
    return content


@pytest.mark.parametrize(("decision", "status"), [("go", "approved"), ("no_go", "rejected"), ("maybe", "rejected")])
def test_a_decision_is_a_closed_approval(decision: str, status: str) -> None:
    event = orjson.loads(as_cdevent(ours("gate.decided", run_id=7, decision=decision), "https://gate.example/"))
    content = check_shape(event)
    assert (content["status"], content["decision"]) == (status, status)
    assert content["approvalDetailsUrl"] == "https://gate.example/api/gates/release/runs/7?site=global"
    assert content["resourceTargetUrl"].endswith("subject=acme%2Fshop&version=1.0%2B7")
    assert event["data"]["customData"]["headgate"]["revoked"] is False


@pytest.mark.parametrize("run_id", [None, 8])
def test_a_go_that_is_revoked_is_rejected(run_id: int | None) -> None:
    told = ours("gate.revoked", run_id=run_id, revoked_run_id=7, decision="go")
    event = orjson.loads(as_cdevent(told, None))
    content = check_shape(event)
    assert (content["status"], content["decision"]) == ("rejected", "rejected")
    assert content["approvalDetailsUrl"] == f"/api/gates/release/runs/{run_id or 7}?site=global"
    assert event["data"]["customData"]["headgate"]["revoked"] is True
