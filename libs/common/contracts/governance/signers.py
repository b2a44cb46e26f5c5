"""Who may sign reports: public keys, and CI systems whose identity tokens count. Published for a site or for all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import Json, Model, Token
from libs.common.contracts.versions import Document

MAX_KEYS = 50
MAX_ISSUERS = 10
JobPattern = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255, pattern=r"^[^*\x00-\x1f][^\x00-\x1f]*$")
]


class SigningKey(Model):
    """A public key: Ed25519 or ECDSA P-256, in PEM."""

    name: Token
    pem: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class TokenIssuer(Model):
    """A CI system that gives its jobs identity tokens (OpenID Connect)."""

    name: Token
    issuer: Annotated[str, StringConstraints(pattern=r"^https://[!-~]{1,190}$")] = Field(
        description="The `iss` of its tokens, such as https://token.actions.githubusercontent.com"
    )
    audience: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] = Field(
        description="The `aud` that jobs ask for: this installation's own, so that no token for others counts here"
    )
    subjects: list[JobPattern] = Field(
        min_length=1,
        max_length=50,
        description="Jobs (`sub`) whose word counts, such as repo:acme/shop:ref:refs/heads/*",
    )
    jwks: Json = Field(description="Its public keys (JWKS), as it publishes them; nothing is fetched")


class Signers(Model):
    """Who is trusted to sign. What is published for `global` counts at every site, beside the site's own."""

    keys: list[SigningKey] = Field([], max_length=MAX_KEYS)
    issuers: list[TokenIssuer] = Field([], max_length=MAX_ISSUERS)

    @model_validator(mode="after")
    def _named_once(self) -> Signers:
        names = [*(one.name for one in self.keys), *(one.name for one in self.issuers)]
        if len(set(names)) < len(names):
            raise ValueError("two signers have one name")
        return self


SIGNERS = Document(
    "governance",
    "signers",
    content=Signers,
    default=Signers(),
    path="/api/signers",
    what="the trusted signers",
)
