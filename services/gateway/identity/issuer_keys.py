"""The public keys of issuers of identity tokens: as published with the rules, else fetched by OpenID Connect Discovery.

They are kept for ten minutes; an unknown key makes us look again at once, but not more often than every half minute,
so that strangers can't make us call others. If an issuer can't be reached, what it said within a day still counts.
Source: OpenID Connect Discovery 1.0, section 4; RFC 7517.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from libs.common.contracts.gateway.federation import FederationIssuer
from libs.common.outbound import MAX_HEAD_BYTES, Outbound, OutboundError
from libs.common.problems import Unavailable
from libs.common.telemetry import log
from libs.judge.dsse import KeyProblem
from libs.judge.identity import read_keys

FRESH_S = 600.0
AGAIN_S = 30.0
STALE_S = 86_400.0
WELL_KNOWN = "/.well-known/openid-configuration"


class BadAnswer(Exception):
    """What an issuer answered is not what it should be; the message is one sentence."""


@dataclass(slots=True)
class _Kept:
    jwks: Mapping[str, Any] | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    fetched_s: float = float("-inf")
    tried_s: float = float("-inf")
    problem: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class IssuerKeys:
    """``monotonic`` is a clock in seconds that never steps back."""

    def __init__(self, outbound: Outbound, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._outbound, self._monotonic = outbound, monotonic
        self._kept: dict[str, _Kept] = {}

    async def of(self, issuer: FederationIssuer, *, anew: bool = False) -> Mapping[str, Any]:
        """The key set. ``anew``: a key was not in it. Raises `Unavailable` if there is none to be had."""
        if issuer.jwks is not None:
            return issuer.jwks
        kept = await self._of(issuer.issuer, anew=anew)
        if kept.jwks is None:
            raise Unavailable(
                f"The public keys of {issuer.issuer} can't be had: {kept.problem} Try again in half a minute, or "
                "publish them with the rules (jwks)."
            )
        return kept.jwks

    async def configuration(self, issuer: str) -> Mapping[str, Any]:
        """What the issuer says of itself. Raises `Unavailable` if it can't be asked."""
        kept = await self._of(issuer)
        if kept.jwks is None:
            raise Unavailable(f"{issuer} can't be asked: {kept.problem} Try again in half a minute.")
        return kept.told

    async def _of(self, issuer: str, *, anew: bool = False) -> _Kept:
        """What is known of an issuer; without keys if there are none to be had, or they are too old."""
        kept = self._kept.setdefault(issuer, _Kept())
        async with kept.lock:  # many jobs that start at once make one call
            now = self._monotonic()
            old = now - kept.fetched_s >= FRESH_S
            if (old or anew) and now - kept.tried_s >= AGAIN_S:
                kept.tried_s = now
                await self._fetch(issuer, kept, now)
            if now - kept.fetched_s >= STALE_S:
                kept.jwks = None
        return kept

    def forget(self, listed: set[str]) -> None:
        """Keep nothing of issuers that are not listed any more."""
        self._kept = {issuer: kept for issuer, kept in self._kept.items() if issuer in listed}

    async def _fetch(self, issuer: str, kept: _Kept, now: float) -> None:
        try:
            told = await self._json(issuer.rstrip("/") + WELL_KNOWN)
            if told.get("issuer") != issuer:
                raise BadAnswer(f"its configuration is of {str(told.get('issuer'))[:120]!r}.")
            place = told.get("jwks_uri")
            if not isinstance(place, str) or not place.startswith(("https://", issuer.partition("://")[0] + "://")):
                raise BadAnswer("its configuration names no address of keys (jwks_uri).")
            jwks = await self._json(place)
            read_keys(jwks)
        except OutboundError as error:
            kept.problem = error.sentence
        except BadAnswer as error:
            kept.problem = str(error)
        except KeyProblem as error:
            kept.problem = f"{error}."
        else:
            kept.jwks, kept.told, kept.fetched_s, kept.problem = jwks, told, now, ""
            return
        log.warning("keys of an issuer can't be fetched", issuer=issuer, problem=kept.problem)

    async def _json(self, url: str) -> dict[str, Any]:
        answer = await self._outbound.get(url, {"accept": "application/json"})
        if answer.status != 200:
            raise BadAnswer(f"{url} answers {answer.status}.")
        if len(answer.head) >= MAX_HEAD_BYTES:
            raise BadAnswer(f"{url} answers more than {MAX_HEAD_BYTES // 1024} KiB.")
        try:
            found = orjson.loads(answer.head)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise BadAnswer(f"{url} answers no JSON object.")
        return found
