"""Talks to a provider of OpenID Connect: where the browser goes, and what the provider says for the code it brings.

Authorization code with PKCE (RFC 7636, S256), state and nonce, as RFC 9700 asks. The messages are Authlib's; calls go
out by `libs.common.outbound`, so only to addresses that may be called, and signatures are checked where those of
machines are (`libs.judge.identity`). Nothing is stored here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
import orjson
from authlib.common.urls import add_params_to_uri  # type: ignore[import-untyped]
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]  # it ships no types
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped]
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc.errors import JoseError

from libs.common.contracts.gateway.federation import FederationIssuer
from libs.common.contracts.gateway.sign_in import SignInProvider
from libs.common.outbound import Outbound, OutboundError
from libs.common.problems import Unauthorized, Unavailable
from libs.common.service import Clock
from libs.judge.attestation import BadSignature
from libs.judge.identity import Issuer, UnknownKey, verify_claims
from services.gateway.identity.issuer_keys import IssuerKeys

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class Providers:
    """``secrets``: what providers gave this installation, by their names."""

    def __init__(self, outbound: Outbound, keys: IssuerKeys, secrets: Mapping[str, str], clock: Clock) -> None:
        self._outbound, self._keys, self._secrets, self._clock = outbound, keys, secrets, clock

    async def address(self, provider: SignInProvider, back: str, state: str, nonce: str, verifier: str) -> str:
        """Where the browser is sent; ``back`` is where it comes back to. Raises `Unavailable`."""
        told = await self._keys.configuration(provider.issuer)
        address: str = prepare_grant_uri(
            _place(provider, told, "authorization_endpoint"),
            provider.client_id,
            "code",
            redirect_uri=back,
            scope=["openid", *(one for one in provider.scopes if one != "openid")],
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return address

    async def way_out(self, provider: SignInProvider, back: str, state: str) -> str | None:
        """Where a browser is sent to leave the provider, and from there ``back``; None: it has no such address.

        By the client's name, without an identity token: none is kept here. Raises `Unavailable`.
        """
        told = await self._keys.configuration(provider.issuer)
        if "end_session_endpoint" not in told:
            return None
        asked = [("client_id", provider.client_id), ("post_logout_redirect_uri", back), ("state", state)]
        address: str = add_params_to_uri(_place(provider, told, "end_session_endpoint"), asked)
        return address

    async def claims(self, provider: SignInProvider, code: str, back: str, nonce: str, verifier: str) -> dict[str, Any]:
        """What the provider says of who brought the code. Raises `Unauthorized` with the reason, and `Unavailable`."""
        told = await self._keys.configuration(provider.issuer)
        body = prepare_token_request("authorization_code", code=code, redirect_uri=back, code_verifier=verifier)
        secret = self._secrets.get(provider.name)
        method = _method(told) if secret else "none"
        place = _place(provider, told, "token_endpoint")
        place, headers, body = ClientAuth(provider.client_id, secret, method).prepare("POST", place, dict(_FORM), body)
        try:
            answer = await self._outbound.post(place, headers, body.encode())
        except OutboundError as error:
            raise Unavailable(f"The provider can't be asked: {error.sentence} Sign in again in a moment.") from None
        try:
            found = orjson.loads(answer.head)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict) or answer.status >= 500:
            raise Unavailable(f"The provider answers {answer.status}, and nothing that can be read. Sign in again.")
        token = found.get("id_token")
        if answer.status != 200 or not isinstance(token, str):
            why = str(found.get("error") or f"it answers {answer.status} without an identity token")[:100]
            raise Unauthorized(f"The provider does not vouch for you: {why}. Sign in again.")
        return await self.proven(provider, token, nonce, found.get("access_token"))

    async def proven(
        self, provider: SignInProvider, token: str, nonce: str, access_token: object = None
    ) -> dict[str, Any]:
        """The claims of an identity token that this provider signed for us and this sign-in. Raises `Unauthorized`."""
        try:
            claims = await self._verified(provider, token)
        except BadSignature as error:
            raise Unauthorized(f"{str(error).rstrip('.')}.") from None
        told = CodeIDToken(
            claims,
            jwt.get_unverified_header(token),
            params={"nonce": nonce, "client_id": provider.client_id, "access_token": access_token},
        )
        for name in ("nonce", "azp", "at_hash"):
            try:
                getattr(told, f"validate_{name}")()
            except (JoseError, TypeError, ValueError):
                raise Unauthorized(f"The identity token is of another sign-in: its {name} does not fit.") from None
        return claims

    async def signed(self, provider: SignInProvider, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of a token that this provider signed for us just now. Raises `BadSignature`."""
        claims = await self._verified(provider, token)
        return jwt.get_unverified_header(token), claims

    async def _verified(self, provider: SignInProvider, token: str) -> dict[str, Any]:
        told = FederationIssuer(name=provider.name, issuer=provider.issuer, audience=provider.client_id)
        for anew in (False, True):
            issuer = Issuer(told.name, told.issuer, told.audience, (), await self._keys.of(told, anew=anew))
            try:
                return verify_claims(token, [issuer], self._clock())[1]
            except UnknownKey:
                if anew:
                    raise
        raise AssertionError("the second look returns or raises")


def _place(provider: SignInProvider, told: Mapping[str, Any], name: str) -> str:
    """An address of the provider's configuration; by HTTPS, or as its issuer. Raises `Unavailable`."""
    place = told.get(name)
    if not isinstance(place, str) or not place.startswith(("https://", provider.issuer.partition("://")[0] + "://")):
        raise Unavailable(f"The configuration of {provider.issuer} names no {name}.")
    return place


def _method(told: Mapping[str, Any]) -> str:
    """How the secret is shown; RFC 8414 says what holds where the provider says nothing."""
    known = told.get("token_endpoint_auth_methods_supported")
    basic = not isinstance(known, list) or "client_secret_basic" in known
    return "client_secret_basic" if basic else "client_secret_post"
