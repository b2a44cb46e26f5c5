"""Our decisions as CDEvents, for systems that know that vocabulary and not ours.

A gate's word on a version is an approval: ``approval.closed``, of the draft of CDEvents 0.6 (no earlier version has
approvals). A GO that is revoked is closed once more, as rejected.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson

from libs.common.contracts.governance.runs import gate_decided, gate_revoked

SPEC_VERSION = "0.6.0-draft"
TYPE = "dev.cdevents.approval.closed.0.1.0"
NAMES = tuple(sorted((gate_decided.name, gate_revoked.name)))


def as_cdevent(payload: bytes, public_url: str | None) -> bytes:
    """One of our events named in ``NAMES``, as a CloudEvent whose data are a CDEvent. Same id, same time.

    ``public_url`` goes before the addresses in it, which else are relative.
    """
    event = orjson.loads(payload)
    told = event["data"]
    revoked = event["type"] == gate_revoked.type
    run_id = told["run_id"] or told.get("revoked_run_id")
    status = "approved" if not revoked and told["decision"] == "go" else "rejected"
    base = (public_url or "").rstrip("/")
    subject, version, site = (quote(told[name], safe="") for name in ("subject", "version", "site"))
    about = f"{told['gate']}/{told['site']}/{told['subject']}@{told['version']}"
    context = {
        "specversion": SPEC_VERSION,
        "id": event["id"],
        "source": event["source"],
        "type": TYPE,
        "timestamp": event["time"],
    }
    content = {
        "approvalDetailsUrl": f"{base}/api/gates/{told['gate']}/runs/{run_id}?site={site}",
        "resourceTargetUrl": f"{base}/api/signals?site={site}&subject={subject}&version={version}",
        "responder": f"urn:headgate:gate:{told['gate']}",
        "decision": status,
        "status": status,
    }
    cdevent = {
        "context": context,
        "subject": {"id": about, "source": event["source"], "content": content},
        "customData": {"headgate": _more(told, revoked=revoked)},
    }
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": event["id"],
            "source": event["source"],
            "type": TYPE,
            "subject": about,
            "time": event["time"],
            "datacontenttype": "application/json",
            "data": cdevent,
        }
    )


def _more(told: dict[str, Any], *, revoked: bool) -> dict[str, Any]:
    """What the vocabulary has no words for."""
    names = ("gate", "site", "subject", "version", "run_id", "revoked_run_id", "decision", "verdict", "reasons")
    return {"revoked": revoked, **{name: told[name] for name in names if name in told}}
