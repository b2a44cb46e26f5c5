"""Nobody gives what they don't hold, and nobody changes who holds more.

What the caller holds is what the edge sealed into the command (role and token at the request) *and* what the role holds
when the command is applied: between the two somebody may have taken it away.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.contracts.gateway.users import UserView
from libs.common.contracts.granting import Granter
from libs.common.contracts.roles import held_by
from libs.common.problems import Forbidden, PreconditionFailed
from services.gateway.domain.granting import Excess, Reach
from services.gateway.domain.powers import held_throughout
from services.gateway.domain.rights import Power
from services.gateway.domain.scope import narrow


def granter_of(actor: UserView, more: Iterable[Power], said: Granter) -> Reach:
    """What ``actor``, as read now, may give. ``more`` is held beside the role, ``said`` what the edge added.

    Only what is held at every site that the edge named counts: roles are not thrown together.
    """
    own = Power(actor.role, held_by(actor.role, actor.own_permissions), tuple(actor.sites))
    if said.caller_permissions is None or said.caller_sites is None:
        return Reach(own.permissions, own.sites)
    every = (own, *more)
    reach = {site for power in every for site in power.sites}
    sites = narrow(reach, said.caller_sites)
    return Reach(held_throughout(every, sites) & frozenset(said.caller_permissions), sites)


def reach_of(role: str, own_permissions: Iterable[str] | None, sites: Iterable[str]) -> Reach:
    """What a role holds at these sites."""
    return Reach(held_by(role, own_permissions), tuple(sites))


def require_given(granter: Reach, given: Reach, what: str) -> None:
    """Raises `Forbidden` if ``given`` is more than the granter holds; ``what`` names it."""
    if excess := given.beyond(granter):
        raise _refusal(f"You can't give {what}: it {excess}, and you don't.", excess)


def require_above(granter: Reach, target: Reach, who: str) -> None:
    """Raises `Forbidden` if ``target``, what ``who`` holds now, is more than the granter holds."""
    if excess := target.beyond(granter):
        raise _refusal(f"You can't change {who}, who {excess}, which you don't; ask somebody who does.", excess)


def require_below(granter: Reach, one: Reach, what: str) -> None:
    """Raises `Forbidden` unless ``one`` is less than the granter holds. Who may write identity has equals."""
    if "identity:write" not in granter.permissions and one.permissions == granter.permissions:
        raise Forbidden(f"{what} holds as much as you do, and you administer only who holds less; ask an owner.")


def require_revision(what: str, revision: int, said: int | None) -> None:
    """Raises `PreconditionFailed` if what is locked has changed since the caller read it; None: whatever it is now."""
    if said is not None and said != revision:
        raise PreconditionFailed(
            f"Somebody has changed {what} since you read it; it has revision {revision} by now. Look at what it is "
            "now, then send your change with that revision.",
            revision=revision,
        )


def _refusal(sentence: str, excess: Excess) -> Forbidden:
    return Forbidden(sentence, permissions=list(excess.permissions), sites=list(excess.sites[:50]))
