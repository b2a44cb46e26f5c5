"""Seals that prove something first (`Http.seal` in `PROVEN`): what a caller types is judged, and goes no further."""

from __future__ import annotations

from pydantic import BaseModel

from libs.common.contracts.gateway.passwords import PasswordChange
from libs.common.contracts.gateway.second_factors import FactorCode, FactorProof
from libs.common.problems import Conflict, Forbidden
from services.gateway.context import Context
from services.gateway.identity.callers import Principal
from services.gateway.identity.token_addresses import place_of
from services.gateway.passwords.checking import Checker
from services.gateway.passwords.tries import Shown, TryCounter
from services.gateway.seals import Sealed
from services.gateway.second_factors.checking import Factors
from services.gateway.second_factors.keeping import AGAIN

PROVEN = frozenset({"password_change", "second_factor", "factor_confirm", "factor_drop", "step_up"})
NOT_YOURS = "That is not the password that you have now."
NO_SESSION = "You come with a token; a code is shown in a session (headgate login --renewing)."
NO_FACTOR = "You have no second factor; POST /api/me/second-factor begins one."
SAME = "That is the password that you have already; choose another one."


class Proofs:
    """Judges what callers type beside their token or session."""

    def __init__(self, checker: Checker, factors: Factors, tries: TryCounter) -> None:
        self._checker, self._factors, self._tries = checker, factors, tries

    async def seal(self, name: str, context: Context, principal: Principal, said: BaseModel) -> Sealed:
        """All that goes on the bus for it. Raises `Forbidden`, `Conflict`, `Invalid`, `TooMany` and `Unavailable`."""
        if isinstance(said, PasswordChange):
            return await self._change(context, principal, said)
        if isinstance(said, FactorCode) and name == "step_up":
            return await self._step_up(principal, said)
        if isinstance(said, FactorCode):
            await self._tries.count((Shown("own", principal.username),))
            judge = self._factors.confirmed if name == "factor_confirm" else self._factors.dropped
            return await judge(principal.username, said.code)
        return self._factors.begun(principal.username)

    async def _step_up(self, principal: Principal, said: FactorCode) -> Sealed:
        if principal.session_id is None:
            raise Conflict(NO_SESSION)
        tries = await self._tries.count((Shown("own", principal.username),))
        proof = await self._factors.shown(principal.username, said.code)
        if proof is None:
            raise Conflict(NO_FACTOR)
        if proof == FactorProof():
            raise Forbidden(AGAIN)
        fields = {"proof": proof.model_dump(), "tries": tries.model_dump(), "caller_session_id": principal.session_id}
        return Sealed(fields)

    async def _change(self, context: Context, principal: Principal, said: PasswordChange) -> Sealed:
        place = place_of(context.address)
        counted_by = (Shown("own", principal.username),)
        judged = await self._checker.judge(principal.username, said.current_password, place, counted_by)
        if judged.revision is None:
            raise Forbidden(NOT_YOURS)
        if said.password == said.current_password:
            raise Conflict(SAME)
        sealed = await self._checker.chosen(principal.username, said.password, place)
        return Sealed(
            {
                "password": sealed,
                "revision": judged.revision,
                "tries": judged.tries.model_dump(),
                "caller_session_id": principal.session_id,
            }
        )
