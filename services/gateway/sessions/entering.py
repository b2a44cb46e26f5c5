"""People whom a provider has vouched for: who they are here, what they may by the rules, and their session.

Crash here means: the provider's answer counts as used only if the session is stored, in one transaction. Whose answer
got lost begins again, which the provider mostly answers without a question.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import asyncpg

from libs.common import versions
from libs.common.contracts.gateway import sign_in as contract
from libs.common.contracts.gateway.sessions import SessionOpened
from libs.common.contracts.gateway.sign_in import (
    SIGN_IN,
    PersonLinked,
    SignIn,
    SignInProvider,
    SignInRule,
    SignInSealed,
    SignInTry,
    SignInVerdict,
    person_linked,
)
from libs.common.contracts.gateway.users import ByRule, UserPatch, UserTold, user_created
from libs.common.contracts.granting import Granter
from libs.common.contracts.roles import KEEPER
from libs.common.problems import Conflict, Forbidden, Invalid, Unauthorized
from libs.common.service import Read, Table, Tx
from libs.common.versions import EVERYWHERE
from services.gateway.domain.federation import NoRule
from services.gateway.domain.sign_in import entry
from services.gateway.identity.federation import FORGET_OLD, NOTE_USED
from services.gateway.identity.guard import reach_of, require_given
from services.gateway.identity.sites import require_sites
from services.gateway.identity.tokens import LOCK_USER
from services.gateway.identity.users import (
    INSERT_USER,
    SELECT_USER,
    LastOwner,
    change_user,
    granter,
    own_permissions_of,
    scope_of,
)
from services.gateway.sessions.keeping import store
from services.gateway.sessions.stays import has_left

SELECT_LINK = "SELECT username FROM sign_in_link WHERE issuer = $1 AND sub = $2"
SELECT_LINKED = "SELECT true FROM sign_in_link WHERE username = $1"
INSERT_LINK = """
INSERT INTO sign_in_link (issuer, sub, username, provider, linked_at, seen_at) VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT DO NOTHING RETURNING true
"""
NOTE_SEEN = "UPDATE sign_in_link SET seen_at = $3, told_at = NULL WHERE issuer = $1 AND sub = $2"
NOT_ADOPTED = frozenset({"owner", KEEPER})


async def enter(tx: Tx, body: SignInSealed) -> SessionOpened:
    """Open a session; a person who comes for the first time is made, or taken over if that is allowed.

    Role and sites become what the rule says; the last owner stays one. Raises `Unauthorized` for an answer of the
    provider that was used before, `Forbidden` and `Conflict`.
    """
    await tx.connection.execute(FORGET_OLD, tx.now - timedelta(days=1))
    if not await tx.connection.fetchval(NOTE_USED, bytes.fromhex(body.state_sha256), body.state_until):
        raise Unauthorized("This answer of the provider was used before; sign in again.")
    username = body.username or tx.actor
    if body.sid is not None and await has_left(tx.connection, body.provider.issuer, body.sid):
        raise Unauthorized("The provider has ended this sign-in already; sign in again.")
    linked = await tx.connection.fetchval(SELECT_LINK, body.provider.issuer, body.sub)
    if linked is None:
        await _link(tx, body, username)
    elif linked != username:
        raise Conflict("Somebody signed in as the same person at this moment; sign in again.")
    person = await tx.connection.fetchrow(LOCK_USER, username)
    if person is None or not person["active"]:
        raise Forbidden(f"The provider knows you, but {username} is not active here; ask an owner.")
    await tx.connection.execute(NOTE_SEEN, body.provider.issuer, body.sub, tx.now)
    sites = scope_of(body.rule.sites)
    if (person["role"], person["sites"]) != (body.rule.role, sites):
        with contextlib.suppress(LastOwner):  # whom no rule demotes
            await change_user(tx, UserPatch(username=username, role=body.rule.role, sites=sites), by=by_rule(body))
    return await store(
        tx, body, username, provider=body.provider.name, sid=body.sid, by=by_rule(body), amr=body.amr, acr=body.acr
    )


def by_rule(body: SignInSealed) -> ByRule:
    """What events say of why somebody is what."""
    return ByRule(rule=body.rule.name, provider=body.provider.name, issuer=body.provider.issuer, sub=body.sub)


async def _link(tx: Tx, body: SignInSealed, username: str) -> None:
    """Make the person, or take over one who is here. Raises `Forbidden` if the name is somebody else's."""
    sites = scope_of(body.rule.sites)
    await require_sites(tx.connection, sites)
    held = await own_permissions_of(tx.connection, body.rule.role)
    made = await tx.connection.fetchrow(INSERT_USER, username, body.rule.role, sites, "", tx.now, held)
    if made is not None:
        tx.emit(user_created, UserTold(**made), subject=username)
    else:
        person = await tx.connection.fetchrow(LOCK_USER, username)
        linked = await tx.connection.fetchval(SELECT_LINKED, username)
        if person is None or linked or not _adopts(body.provider, person, exact=body.exact):
            raise Forbidden(
                f"The provider calls you {username}, and somebody of that name is here already; ask an owner. "
                "(headgate sign-in show: adopts)"
            )
    given = (body.provider.issuer, body.sub, username, body.provider.name, tx.now)
    if not await tx.connection.fetchval(INSERT_LINK, *given):
        raise Conflict("Somebody signed in as the same person at this moment; sign in again.")
    told = PersonLinked(username=username, provider=body.provider.name, adopted=made is None, by=by_rule(body))
    tx.emit(person_linked, told, subject=username)


def _adopts(provider: SignInProvider, person: asyncpg.Record, *, exact: bool) -> bool:
    return provider.adopts and exact and person["owner"] is None and person["role"] not in NOT_ADOPTED


async def try_sign_in(read: Read, params: SignInTry) -> SignInVerdict:
    """What would become of a sign-in. Raises `Invalid` for a provider that is not listed."""
    rules = params.content or (await versions.current(read.pool, SIGN_IN, EVERYWHERE)).content
    provider = next((one for one in rules.providers if one.name == params.provider), None)
    if provider is None:
        raise Invalid(f"There is no provider {params.provider} in these rules.")
    try:
        found = entry(rules.rules, provider.name, provider.login_claim, params.claims, provider.email_domains)
    except NoRule as error:
        return SignInVerdict(provider=provider.name, reason=str(error))
    rule: SignInRule = found.rule
    given: dict[str, Any] = {
        "provider": provider.name,
        "rule": rule.name,
        "role": rule.role,
        "sites": scope_of(rule.sites),
    }
    sub = str(params.claims.get("sub", ""))
    if linked := await read.pool.fetchval(SELECT_LINK, provider.issuer, sub):
        return SignInVerdict(**given, username=linked, person="linked")
    row = await read.pool.fetchrow(SELECT_USER, found.username)
    if row is None:
        return SignInVerdict(**given, username=found.username, person="new")
    free = not await read.pool.fetchval(SELECT_LINKED, found.username)
    if free and _adopts(provider, row, exact=found.exact):
        return SignInVerdict(**given, username=found.username, person="adopted")
    reason = f"Somebody called {found.username} is here already, and is not taken for the same."
    return SignInVerdict(**given, username=found.username, person="taken", reason=reason)


async def may_let_in(tx: Tx, content: SignIn, said: Granter) -> None:
    """Raises `Invalid` for sites and roles that there are not: whoever publishes must see it, not those who sign in.

    Raises `Forbidden` for a rule that gives more than its author holds: whoever publishes answers for all of them.
    """
    for provider in content.providers:
        if provider.adopts and provider.login_claim == "email" and not provider.email_domains:
            raise Invalid(
                f"The provider {provider.name} adopts by e-mail address: alice@anywhere would become alice. Name your "
                "own domains (email_domains), or take another login_claim."
            )
    caller = await granter(tx, said)
    for rule in content.rules:
        sites = scope_of(rule.sites)
        await require_sites(tx.connection, sites)
        held = await own_permissions_of(tx.connection, rule.role)
        require_given(caller, reach_of(rule.role, held, sites), f"people the role {rule.role} (rule {rule.name})")


TABLE = Table(commands={contract.sign_in: enter}, queries={contract.try_sign_in: try_sign_in})
POLICY = versions.table(SIGN_IN, guard=may_let_in)
