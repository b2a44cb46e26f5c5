"""Answers policies in the shape that the facility system's callers know, off the documents behind them."""

from __future__ import annotations

from typing import Any, TypeVar

from libs.common import versions
from libs.common.contracts.base import Model, Nothing
from libs.common.contracts.notifier.policies import Policy, PolicyMeta, PolicyShown
from libs.common.contracts.versions import Published
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE

C = TypeVar("C", bound=Model)


def shown(policy: Policy[C], published: Published[C], site: str) -> PolicyShown[C]:
    """What is in force at a site, and whose it is."""
    at = published.published_at
    applies_to = site if published.source == "own" else EVERYWHERE
    return PolicyShown[C](
        meta=PolicyMeta(scope=policy.scope, applies_to=applies_to, policy_key=policy.key, updated_at=at),
        policy_key=policy.key,
        updated_at=at,
        source=published.source,
        version=published.version,
        own_version=published.own_version,
        policy=published.content,
    )


def table(policy: Policy[C]) -> Table:
    """What answers a policy; its document has a table of its own."""
    document = policy.document

    async def get(read: Read, _params: Nothing) -> PolicyShown[C]:
        return shown(policy, await versions.current(read.pool, document, read.site), read.site)

    async def configure(tx: Tx, body: Any) -> PolicyShown[C]:
        now = await versions.current(tx.connection, document, tx.site)
        given = body.model_dump(include=set(document.content.model_fields), exclude_none=True)
        content = now.content.model_copy(update=given)
        # Of two changes at once each keeps what the other has set: who comes second is refused, and reads again.
        expected = now.own_version if body.expected_version is None else body.expected_version
        return shown(policy, await versions.publish(tx, document, content, body.reason, expected), tx.site)

    return Table(commands={policy.configure: configure}, queries={policy.get: get})
