"""Stores the token of a job that proved who it is; and the rules by which that is judged (`domain.federation`).

Crash here means: the identity token counts as used only if its token is stored, in one transaction, so the job can ask
again; a job whose answer got lost asks its CI system for another identity token.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common import versions
from libs.common.contracts.gateway.accounts import PREFIX
from libs.common.contracts.gateway.federation import (
    FEDERATION,
    OUTLIVING,
    ExchangeSealed,
    Federation,
    exchange_identity,
)
from libs.common.contracts.gateway.tokens import TokenIssued, TokenView, token_issued
from libs.common.contracts.granting import Granter
from libs.common.contracts.roles import ROLES
from libs.common.contracts.versions import Published
from libs.common.problems import Conflict, Forbidden, Invalid, Unauthorized
from libs.common.service import Table, Tx
from libs.judge.dsse import KeyProblem
from libs.judge.identity import read_keys
from services.gateway.domain.granting import Reach
from services.gateway.identity.guard import require_given
from services.gateway.identity.tokens import COLUMNS
from services.gateway.identity.users import SELECT_USER, granter

MAX_LABEL = 200
FORGET_OLD = "DELETE FROM identity_use WHERE used_until < $1"
# Two gateways that are shown the same at once: the second waits for the first, and then finds it used.
NOTE_USED = """
INSERT INTO identity_use (used_sha256, used_until) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true
"""
INSERT_OF_RULE = f"""
INSERT INTO tokens (secret_sha256, username, label, sites, created_at, idle_from, expires_at, permissions, subjects,
    cidrs, rule)
VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING RETURNING {COLUMNS}
"""  # noqa: S608  only a constant of ours is put in


async def exchange(tx: Tx, body: ExchangeSealed) -> TokenIssued:
    """Store the token that a rule gives. Raises `Unauthorized` for an identity token that was used before.

    Raises `Forbidden` where the account can't act, or its role holds nothing that the rule gives: whoever wrote the
    rule must see it, not a job that is refused later.
    """
    rule, actor = body.rule, PREFIX + body.rule.account
    await tx.connection.execute(FORGET_OLD, tx.now - timedelta(days=1))
    if not await tx.connection.fetchval(NOTE_USED, bytes.fromhex(body.used_sha256), body.used_until):
        raise Unauthorized("This identity token was used before; ask the CI system for another one.")
    account = await tx.connection.fetchrow(SELECT_USER, actor)
    if account is None or not account["active"]:
        raise Forbidden(
            f"The rule {rule.name} is for the account {rule.account}, which does not exist, or is not active, or whose "
            "owner is not; an owner can mend that (headgate accounts list)."
        )
    given = sorted(set(rule.permissions) & ROLES[account["role"]] - OUTLIVING)
    if not given:
        raise Forbidden(
            f"The account {rule.account} is {account['role']} and may nothing that the rule {rule.name} gives."
        )
    row = await tx.connection.fetchrow(
        INSERT_OF_RULE,
        bytes.fromhex(body.secret_sha256),
        actor,
        f"{rule.name}: {body.sub}"[:MAX_LABEL],
        list(rule.sites),
        tx.now,
        tx.now + timedelta(minutes=rule.lifetime_minutes),
        given,
        rule.subjects,
        rule.cidrs,
        rule.name,
    )
    if row is None:
        raise Conflict("This secret is in use already; ask again.")
    tx.emit(token_issued, TokenView(**row), subject=str(row["token_id"]))
    return TokenIssued(**row)


async def may_trust(tx: Tx, content: Federation, said: Granter) -> None:
    """Raises `Forbidden` for a rule that gives a job more than its author holds, `Invalid` for what outlives it."""
    caller = await granter(tx, said)
    for rule in content.rules:
        if lasting := sorted(OUTLIVING & set(rule.permissions)):
            raise Invalid(
                f"The rule {rule.name} gives {', '.join(lasting)}: what a job makes by that would outlive its minutes.",
                permissions=lasting,
            )
        given = Reach(frozenset(rule.permissions), tuple(rule.sites))
        require_given(caller, given, f"jobs what the rule {rule.name} gives")


async def check_keys(_: Tx, published: Published[Federation]) -> None:
    """Raises `Invalid` for keys that can't be read: whoever publishes must see it, not the jobs."""
    for issuer in published.content.issuers:
        if issuer.jwks is not None:
            try:
                read_keys(issuer.jwks)
            except KeyProblem as error:
                raise Invalid(f"The keys of the issuer {issuer.name} can't be used: {error}.") from error


TABLE = Table(commands={exchange_identity: exchange})
POLICY = versions.table(FEDERATION, applied=check_keys, guard=may_trust)
