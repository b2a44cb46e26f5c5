"""Step-up as rows: when a session has shown a second factor last; and the policy that asks for it.

Crash here means: nothing; a code is used up only together with the time that it gives a session.
"""

from __future__ import annotations

from datetime import timedelta
from difflib import get_close_matches

from libs.common import versions
from libs.common.contracts import CONTRACTS
from libs.common.contracts.base import Operation
from libs.common.contracts.changes import stated
from libs.common.contracts.gateway import second_factors
from libs.common.contracts.gateway import step_up as contract
from libs.common.contracts.gateway.second_factor_policy import SECOND_FACTOR_POLICY, SecondFactorPolicy
from libs.common.contracts.gateway.step_up import SessionSteppedUp, SteppedUp, StepUpSealed, session_stepped_up
from libs.common.contracts.roles import ALWAYS, KEEPER, ROLES
from libs.common.contracts.versions import Published
from libs.common.problems import Conflict, Forbidden, Invalid, errors_in
from libs.common.service import Table, Tx
from services.gateway.identity.requiring import note_all, policy_of
from services.gateway.identity.users import own_permissions_of
from services.gateway.passwords.tries import forgive
from services.gateway.second_factors.keeping import AGAIN, LOCK_CONFIRMED, shown

# What leads to a code can't ask for one.
NEVER = frozenset({"me:write", *ALWAYS})
NEVER_OPERATIONS = frozenset(
    one.name for one in (contract.step_up, second_factors.begin_factor, second_factors.confirm_factor)
)

LOCK_OPEN = "SELECT factor_at FROM sessions WHERE session_id = $1 AND username = $2 AND ended_at IS NULL FOR UPDATE"
NOTE_FACTOR = "UPDATE sessions SET factor_at = $2 WHERE session_id = $1"


async def step_up(tx: Tx, body: StepUpSealed) -> SteppedUp:
    """A code counts for the session from now on. Raises `Forbidden` for a code that was used, or a session that ended.

    The tries that were counted before it are taken off again.
    """
    row = await tx.connection.fetchrow(LOCK_OPEN, body.caller_session_id, tx.actor)
    if row is None:
        raise Forbidden("Your session has ended. Sign in again.")
    if not await shown(tx, body.proof):
        raise Forbidden(AGAIN)
    await tx.connection.execute(NOTE_FACTOR, body.caller_session_id, tx.now)
    await forgive(tx.connection, body.tries, tx.now)
    told = SessionSteppedUp(
        session_id=body.caller_session_id,
        username=tx.actor,
        by="recovery" if body.proof.step is None else "code",
        changes=stated({"factor_at": row["factor_at"]}, {"factor_at": tx.now}),
    )
    tx.emit(session_stepped_up, told, subject=str(body.caller_session_id))
    policy = await policy_of(tx.connection)
    return SteppedUp(
        session_id=body.caller_session_id,
        username=tx.actor,
        factor_at=tx.now,
        fresh_until=tx.now + timedelta(minutes=policy.step_up_minutes),
    )


async def can_be_held(tx: Tx, published: Published[SecondFactorPolicy]) -> None:
    """Raises `Invalid` for names that nothing has, and `Conflict` where its author would be shut out by it."""
    policy = published.content
    wrong = [why for why in map(_wrong_with, policy.step_up) if why is not None]
    if wrong:
        raise Invalid(wrong[0], errors=errors_in("step_up", wrong))
    await _require_known(tx, policy.required_of)
    if policy.step_up and policy.tokens != "allowed" and await tx.connection.fetchval(LOCK_CONFIRMED, tx.actor) is None:
        raise Conflict(
            "You have no second factor yourself, so you could not do these any more, nor take this back: POST "
            "/api/me/second-factor begins one."
        )
    await note_all(tx, policy)


async def _require_known(tx: Tx, names: list[str]) -> None:
    """Raises `Invalid` for a role or permission that there is not."""
    permissions = sorted(frozenset().union(*ROLES.values()))
    for name in names:
        if ":" not in name and name != KEEPER:
            await own_permissions_of(tx.connection, name)
        elif name not in permissions:
            near = get_close_matches(name, permissions, n=3, cutoff=0.5)
            hint = f"; do you mean {' or '.join(near)}?" if near else "; docs/reference/permissions.md lists them."
            raise Invalid(f"No person holds {name}{hint}")


def _wrong_with(name: str) -> str | None:
    """Why nothing can be asked for by this name; None: it can."""
    operations = {one.name: one for one in _with_routes()}
    permissions = frozenset().union(*ROLES.values())
    if name in NEVER_OPERATIONS | NEVER:
        return f"{name} is needed to show a code, so it can't ask for one."
    if name in operations or name in permissions:
        return None
    near = get_close_matches(name, sorted({*operations, *permissions}), n=3, cutoff=0.5)
    hint = f"; do you mean {' or '.join(near)}?" if near else "; `headgate operations` lists them."
    return f"There is no operation and no permission {name}{hint}"


def _with_routes() -> list[Operation]:
    return [one for made in CONTRACTS.values() for one in made.operations() if one.http is not None]


TABLE = Table(commands={contract.step_up: step_up})
POLICY = versions.table(SECOND_FACTOR_POLICY, applied=can_be_held)
