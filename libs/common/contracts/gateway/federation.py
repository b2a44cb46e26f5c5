"""Machines without secrets: a job shows the identity token of its own CI system, and gets a token for minutes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import Command, Json, Model, Time, Token
from libs.common.contracts.gateway.tokens import Cidr, Permission, SubjectPattern, TokenIssued
from libs.common.contracts.gateway.users import Scope
from libs.common.contracts.roles import PEOPLE_ONLY, ROLES
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict, Forbidden, Unauthorized

PATH = "/api/federation/token"
MAX_ISSUERS, MAX_RULES, MAX_CLAIMS = 20, 200, 20
MAX_MINUTES = 60
# What would outlive the minutes, beside what takes a person.
BARRED = PEOPLE_ONLY | {"token:write"}
# What makes things that outlive the minutes. Rules of versions before may name it, and their tokens may it not.
OUTLIVING = frozenset({"webhook:write", "channel:write", "subscription:write"})
# A claim of that name, else what is nested: realm_access.roles, and of each member of a list: groups[].name.
_STEPS = r"[A-Za-z0-9_.:/-]+"
ClaimName = Annotated[str, StringConstraints(max_length=100, pattern=rf"^{_STEPS}(\[\]\.{_STEPS})*(\[\])?$")]
# It begins with something: a star at the front would let anybody in who can choose what comes behind.
ClaimPattern = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^*\x00-\x1f][^\x00-\x1f]*$")]
_LOCAL = r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?(/[!-~]*)?"


IssuerUrl = Annotated[str, StringConstraints(max_length=200, pattern=rf"^(https://[!-~]+|{_LOCAL})$")]


class FederationIssuer(Model):
    """A CI system, or a cluster, that gives its jobs identity tokens (OpenID Connect)."""

    name: Token = Field(description="What rules call it")
    issuer: IssuerUrl = Field(
        description="The `iss` of its tokens, such as https://token.actions.githubusercontent.com"
    )
    audience: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] = Field(
        description="The `aud` that jobs ask for: this installation's own, so that no token for others counts here"
    )
    jwks: Json | None = Field(
        None,
        description="Its public keys (JWKS); else they are fetched from the issuer, again when it changes them",
    )


class TrustRule(Model):
    """Which jobs get a token, of which account, and what it may. All claims must fit one of their patterns."""

    name: Token
    issuer: Token = Field(description="The name of the issuer")
    claims: dict[ClaimName, Annotated[list[ClaimPattern], Field(min_length=1, max_length=50)]] = Field(
        min_length=1,
        max_length=MAX_CLAIMS,
        description="What the identity token must say, such as repository: [acme/shop] and ref: [refs/heads/*]; * fits "
        "any characters, and dots lead into what is nested",
    )
    account: Token = Field(description="The service account in whose name the job acts")
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=60)] = Field(
        description="What the token may, of what the account and its owner may"
    )
    sites: Scope = Field(["*"], min_length=1, description="Names of sites, or * for all that the account has")
    subjects: Annotated[list[SubjectPattern], Field(min_length=1, max_length=50)] | None = None
    cidrs: Annotated[list[Cidr], Field(min_length=1, max_length=50)] | None = None
    lifetime_minutes: int = Field(15, ge=1, le=MAX_MINUTES)

    @model_validator(mode="after")
    def _of_a_machine(self) -> TrustRule:
        if barred := sorted(BARRED & set(self.permissions)):
            raise ValueError(f"no job may {', '.join(barred)}: that takes a person, or would outlive the token")
        if unknown := sorted(set(self.permissions) - frozenset().union(*ROLES.values())):
            raise ValueError(f"there is no operation {', '.join(unknown)}")
        return self


class Federation(Model):
    """Whose identity tokens are exchanged, and by which rules; the first rule that fits is taken."""

    issuers: list[FederationIssuer] = Field([], max_length=MAX_ISSUERS)
    rules: list[TrustRule] = Field([], max_length=MAX_RULES)

    @model_validator(mode="after")
    def _fits_together(self) -> Federation:
        for what, names in (("issuers", [one.name for one in self.issuers]), ("rules", [r.name for r in self.rules])):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} have one name")
        known = {one.name for one in self.issuers}
        for rule in self.rules:
            if rule.issuer not in known:
                raise ValueError(f"the rule {rule.name} names the issuer {rule.issuer}, which is not listed")
        return self


FEDERATION: Document[Federation] = Document(
    "gateway",
    "federation",
    content=Federation,
    default=Federation(),
    path="/api/admin/federation",
    what="the rules by which machines without secrets come in",
    read="identity:read",
    write="identity:write",
    sited=False,
    grants=True,
)


class FederationLogin(Model):
    """What a job sends. ``rule``: the one that it means, if several could fit."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=8_192)]
    rule: Token | None = None


class Exchange(Model):
    """What the edge has proven: no identity token travels on the bus. ``used_sha256`` is of what its issuer signed."""

    rule: TrustRule
    issuer: str
    sub: str
    used_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    used_until: Time


class ExchangeSealed(Exchange):
    """With the SHA-256 of the secret that the edge made."""

    secret_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


# Without a route of its own: the edge's `/api/federation/token` asks for no token, but for an identity token.
exchange_identity = Command(
    "gateway.federation.exchange",
    body=ExchangeSealed,
    result=TokenIssued,
    permission="token:write",
    errors=(Forbidden, Conflict, Unauthorized),
    summary="Issue a token of minutes to a job that proved who it is",
    sited=False,
)
