"""What the stories about approvals share: a release gate that wants two, and people who say a word."""

from __future__ import annotations

from typing import Any

from libs.common.contracts.governance.approvals import approve_candidate, show_approvals
from libs.common.contracts.governance.policies import publish_policy
from tests.integration.governance_desk import run, send_release, start
from tests.stack import Answer, Stack
from tests.unit.governance.samples import RELEASE

APP = {"gate": "release", "subject": "app", "version": "1.0"}


async def publish(stack: Stack, more: str, actor: str = "owner", **options: Any) -> Answer:
    """Publish the release policy with more keys."""
    body = {"gate": "release", "content": f"{RELEASE.text}\n{more}\n", "reason": "as decided"}
    return await stack.command(publish_policy, body, actor=actor, **options)


async def begin(stack: Stack, terms: str = "approvals: {count: 2}") -> dict[str, Any]:
    """A candidate that only lacks approvals; the run (by ann, with reports by ann)."""
    await start(stack)
    answer = await publish(stack, terms)
    assert answer.status == 200, answer
    await send_release(stack, "1.0")
    made: dict[str, Any] = await run(stack, **APP)
    return made


async def word(stack: Stack, actor: str, evidence: str, command: Any = approve_candidate, **more: Any) -> Answer:
    """What a person says of the candidate."""
    body = {**APP, "evidence_sha256": evidence, "reason": "looked at it", "caller_role": "manager", **more}
    return await stack.command(command, body, actor=actor)


async def state(stack: Stack, **asker: Any) -> Any:
    """Where the candidate's approvals stand. ``asker``: who asks, and in which role."""
    answer = await stack.query(show_approvals, APP, **asker)
    assert answer.status == 200, answer
    return answer.json
