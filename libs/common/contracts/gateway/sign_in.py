"""People sign in with a provider of OpenID Connect: whose word counts, and who is what by which rule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from libs.common.contracts.base import POST, Command, Event, Json, Model, Open, Query, Time, Token
from libs.common.contracts.gateway.federation import MAX_CLAIMS, ClaimName, ClaimPattern, IssuerUrl
from libs.common.contracts.gateway.sessions import SessionOpened
from libs.common.contracts.gateway.users import ByRule, RoleName, Scope
from libs.common.contracts.roles import KEEPER
from libs.common.contracts.versions import Document
from libs.common.problems import Conflict, Forbidden, NotFound, Refusal, Unauthorized

LIST_PATH = "/api/sign-in"
PATH = "/api/sign-in/{provider}"
CALLBACK_PATH = "/api/sign-in/{provider}/callback"
SIGN_OUT_PATH = "/api/sign-out"
SIGNED_OUT_PATH = "/api/sign-in/{provider}/signed-out"
LOGOUT_PATH = "/api/sign-in/{provider}/backchannel-logout"
MAX_PROVIDERS, MAX_RULES = 10, 200
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Domain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+$", max_length=253)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=255)]
ScopeName = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,100}$")]


class SignInProvider(Model):
    """Who knows the people: an OpenID Connect provider, at which this installation is a client.

    Its secret, if the provider gave one, is not here but in `HEADGATE_SIGN_IN_SECRETS`.
    """

    name: Token = Field(description="What rules and addresses call it")
    issuer: IssuerUrl = Field(description="The `iss` of its tokens, such as https://login.example.com/acme")
    client_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] = Field(
        description="What the provider calls this installation; its tokens must be made for it (`aud`)"
    )
    scopes: Annotated[list[ScopeName], Field(max_length=20)] = Field(
        ["profile", "email"], description="What is asked for beside `openid`"
    )
    login_claim: ClaimName = Field(
        "preferred_username",
        description="The claim that names a person at the first sign-in; of an e-mail address the part before the @",
    )
    adopts: bool = Field(
        False,
        description="Whether a person who is here already under exactly that name, and has signed in with no provider "
        "yet, is taken for the same; never an owner",
    )
    email_domains: Annotated[list[Domain], Field(max_length=50)] = Field(
        [],
        description="Your own domains: only of an e-mail address in one of them is the part before the @ a name by "
        "which `adopts` takes somebody for the same",
    )


class SignInRule(Model):
    """Who is what. All claims must fit one of their patterns; the first rule that fits is taken."""

    name: Token
    provider: Token = Field(description="The name of the provider")
    claims: dict[ClaimName, Annotated[list[ClaimPattern], Field(min_length=1, max_length=50)]] = Field(
        min_length=1,
        max_length=MAX_CLAIMS,
        description="What the provider must say, such as groups: [release-managers] or realm_access.roles: [releases]; "
        "* fits any characters",
    )
    role: RoleName = Field(description="What the person may do: owner, manager, …, or a role of your own")
    sites: Scope = Field(min_length=1, description="Names of sites, or * for all")

    @property
    def issuer(self) -> str:
        """Of whom it speaks, as rules of machines call it."""
        return self.provider


class SignIn(Model):
    """By which providers people sign in, and what they may then. Without a rule that fits nobody comes in."""

    providers: list[SignInProvider] = Field([], max_length=MAX_PROVIDERS)
    rules: list[SignInRule] = Field([], max_length=MAX_RULES)

    @model_validator(mode="after")
    def _fits_together(self) -> SignIn:
        names = [one.name for one in self.providers], [one.name for one in self.rules]
        for what, listed in zip(("providers", "rules"), names, strict=True):
            if len(set(listed)) < len(listed):
                raise ValueError(f"two {what} have one name")
        if len({one.issuer for one in self.providers}) < len(self.providers):
            raise ValueError("two providers have one issuer")
        for rule in self.rules:
            if rule.role == KEEPER:
                raise ValueError(f"the rule {rule.name} names the role {KEEPER}, which is a process's")
            if rule.provider not in names[0]:
                raise ValueError(f"the rule {rule.name} names the provider {rule.provider}, which is not listed")
        return self


SIGN_IN: Document[SignIn] = Document(
    "gateway",
    "sign_in",
    content=SignIn,
    default=SignIn(),
    path="/api/admin/sign-in",
    what="the rules by which people sign in",
    read="identity:read",
    write="identity:write",
    sited=False,
    grants=True,
)


class SignInTry(Model):
    """What a provider would say of somebody."""

    provider: Token = Field(description="The name of the provider")
    claims: Json = Field(description="What it says, as in its identity token, such as sub, groups, email_verified")
    content: SignIn | None = Field(None, description="Rules that are not published yet; else those in force")


class SignInVerdict(Open):
    """What would become of that sign-in. ``reason``: why it would be refused; null: it would not be by the rules.

    ``person``: ``new``, ``linked`` (this very person signed in before), ``adopted``, or ``taken``: by somebody else.
    """

    provider: str
    reason: str | None = None
    rule: str | None = None
    username: str | None = None
    role: str | None = None
    sites: list[str] | None = None
    person: Literal["new", "linked", "adopted", "taken"] | None = None


class SignInSealed(Model):
    """What the edge has proven: no token of the provider travels on the bus. ``state_sha256`` counts once.

    ``exact``: the provider's own word is the name: nothing was replaced in it, nor left out but a domain of ours.
    ``username``: whose link it is, or would become; of a link that is not there yet nobody knows whether that person
    may have it, so the actor is ``sign-in:<provider>`` until then. Commands of versions before name the actor alone.
    ``sid``: what the provider calls this stay, by which it says later that it is over. ``amr``, ``acr``: what it says
    of how the person came in.
    """

    provider: SignInProvider
    rule: SignInRule
    sub: Short
    username: Token | None = None
    sid: Short | None = None
    amr: Annotated[list[Short], Field(max_length=20)] = []
    acr: Short | None = None
    exact: bool
    state_sha256: Sha256
    state_until: Time
    secret_sha256: Sha256
    address: Annotated[str, StringConstraints(max_length=60)]
    agent: Annotated[str, StringConstraints(max_length=200)] = ""


class TurnAway(Model):
    """What the edge has proven: this person of a provider came, and no rule fits any more. ``reason``: why."""

    provider: Token
    issuer: str
    sub: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    reason: Annotated[str, StringConstraints(max_length=1_000)]


class TurnedAway(Open):
    """Told when a person came back whom no rule fits any more, with what ended by that, also of the person's accounts.

    ``last_owner``: it is the last one, who keeps all: else nobody could mend the rules.
    """

    username: str
    provider: str
    issuer: str
    sub: str
    reason: str
    last_owner: bool = False
    token_ids: list[int] = []
    session_ids: list[int] = []


class PersonDue(Open):
    """At ``at`` the person's tokens are refused until the next sign-in with the provider."""

    username: str
    provider: str
    at: Time
    left_days: int
    action: str


class SignOutSealed(Model):
    """What the edge has proven of a provider's logout token, which itself does not travel. ``used_sha256`` counts once.

    ``sub`` names the person, ``sid`` the stay at the provider; one of them is there.
    """

    provider: Token
    issuer: str
    sub: Short | None = None
    sid: Short | None = None
    used_sha256: Sha256
    used_until: Time


class SignedOut(Open):
    """Told when a provider said that somebody has left it, with the sessions that ended by that."""

    provider: str
    session_ids: list[int]


class PersonLinked(Open):
    """Told when a provider's person became one of ours; ``adopted``: one who was here already. ``by``: a rule."""

    username: str
    provider: str
    adopted: bool
    by: ByRule | None = None


try_sign_in = Query(
    "gateway.sign_in.try",
    params=SignInTry,
    result=SignInVerdict,
    permission="identity:read",
    http=POST("/api/admin/sign-in/try"),
    summary="What would become of a sign-in, by the rules in force or by others; nothing is changed",
    sited=False,
)
# Without a route of its own: it is what the provider's answer to the browser leads to.
sign_in = Command(
    "gateway.sign_in.enter",
    about="{username}",
    body=SignInSealed,
    result=SessionOpened,
    permission="me:write",
    errors=(Forbidden, Conflict, Unauthorized),
    summary="Open a session for a person whom a provider has vouched for",
    sited=False,
)
# Without a route of its own, like `sign_in`.
turn_away = Command(
    "gateway.sign_in.turn_away",
    about="{username}",
    body=TurnAway,
    result=TurnedAway,
    permission="me:write",
    errors=(NotFound,),
    summary="End what a person has open whom no rule of sign-in fits any more",
    sited=False,
)
person_turned_away = Event(
    "gateway.sign_in.turned_away",
    data=TurnedAway,
    summary="A person came back whom no rule fits any more, and lost sessions and tokens",
)
person_due = Event(
    "gateway.sign_in.due", data=PersonDue, summary="A person's tokens are refused soon unless there is a sign-in"
)
# Without a route of its own: it is what a provider's logout token leads to.
sign_out = Command(
    "gateway.sign_in.leave",
    body=SignOutSealed,
    result=SignedOut,
    permission="me:write",
    errors=(Refusal,),
    summary="End the sessions of a person who has left the provider",
    about="{provider}",
    sited=False,
)
person_signed_out = Event("gateway.sign_in.left", data=SignedOut, summary="A provider said that a person has left it")
person_linked = Event("gateway.sign_in.linked", data=PersonLinked, summary="A person came in by a provider first")
