"""What the edge adds to a request itself (`Http.seal`), so that no caller can say it and no bus carries a secret."""

from __future__ import annotations

import base64
import hmac
import secrets
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel

from libs.common.contracts.notifier.channels import (
    WEBHOOK,
    ChannelChange,
    ChannelCreate,
    channel_place,
    joined,
    shown_address,
)
from libs.common.contracts.notifier.subscriptions import SubscriptionCreate, signing_place
from libs.common.problems import Forbidden, Unavailable
from libs.common.vault import Vault, VaultError
from services.gateway.domain.narrowing import WHOLE
from services.gateway.domain.rights import Power
from services.gateway.domain.share_text import share_text
from services.gateway.identity.bootstrap import digest_of, make_secret, random_text
from services.gateway.identity.callers import Principal

ONCE = (
    "The token was shown once, in the first answer to this Idempotency-Key. If it is lost, revoke it and issue another."
)


SHARE_ONCE = "The link was shown once, in the first answer to this Idempotency-Key. If it is lost, share again."
CODE_ONCE = "The code was shown once, in the first answer to this Idempotency-Key. If it is lost, make another one."
WEBHOOK_ONCE = "The secret was shown once, in the first answer to this Idempotency-Key. If it is lost, rotate it."
NO_VAULT = Vault()
# Whatever gives somebody rights: with what the caller may (`Granter`).
GRANTING = frozenset(
    {
        "user",
        "user_change",
        "user_erase",
        "account",
        "account_change",
        "grant",
        "grant_key",
        "team",
        "team_change",
        "team_key",
        "sign_in",
        "federation",
        "granted_rollback",
        "password_key",
        "user_session",
        "groups",
    }
)


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """Secrets of webhooks, made of a salt by the gateway's own key: whoever has the database has none of them."""

    key: bytes | None

    def of(self, salt: str) -> str:
        """The secret that belongs to a salt. Raises `Unavailable` if this gateway has no key."""
        if self.key is None:
            raise Unavailable(
                "This gateway has no HEADGATE_WEBHOOK_SECRET, so it knows no webhook; set it, then restart."
            )
        digest = hmac.digest(self.key, f"webhook\n{salt}".encode(), "sha256")
        return "hgw_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Sealed:
    """``fields`` go on the bus with the request's; ``secret`` is shown to the caller alone, as ``name``.

    ``dropped`` are fields of the request that go nowhere: what a caller said in clear and ``fields`` have encrypted.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    secret: str | None = None
    name: str = "token"
    once: str = ONCE
    dropped: frozenset[str] = frozenset()

    @property
    def fingerprint(self) -> str | None:
        """The first 16 hex digits of the secret's SHA-256, as lists of tokens show it."""
        return digest_of(self.secret).hex()[:16] if self.secret else None

    def on_bus(self, asked: bytes) -> bytes:
        """What goes on the bus for a body that a caller sent."""
        if not (self.fields or self.dropped):
            return asked
        given = {name: value for name, value in orjson.loads(asked).items() if name not in self.dropped}
        return orjson.dumps({**given, **self.fields})

    def open(self, result: bytes) -> bytes:
        """The result for the caller: with the secret if it is this one that was stored, else with a note."""
        if self.secret is None:
            return result
        document = orjson.loads(result)
        if document.get("fingerprint") == self.fingerprint:
            document[self.name] = self.secret
        else:
            document["note"] = self.once
        return orjson.dumps(document)

    def preview(self) -> dict[str, Any]:
        """What a 202 tells: the secret now, since the later outcome will not hold it."""
        if self.secret is None:
            return {}
        note = f"The {self.name} works once the command is done and its result shows this fingerprint."
        return {self.name: self.secret, "fingerprint": self.fingerprint, "note": note}


def seal(
    name: str | None,
    principal: Principal,
    webhooks: WebhookSecrets,
    vault: Vault = NO_VAULT,
    said: BaseModel | None = None,
) -> Sealed:
    """The fields that the named seal adds; an unknown name is an error of ours and stops the start (see `mount`).

    ``said``: what the caller sent, of which some seals encrypt a part.
    """
    if name is None:
        return Sealed()
    if name == "caller":
        found = {"token_id": principal.token_id, "powers": _powers(principal)}
        return Sealed(found | _session(principal, "session_id"))
    if name in ("role", "role_change", "role_key"):
        return Sealed({"caller_permissions": sorted(principal.permissions)})
    if name in GRANTING:
        return Sealed(_reach(principal))
    if name == "permission":
        return Sealed({"token_id": principal.token_id})
    if name == "keys":
        return Sealed({"known": vault.key_ids})
    if name == "share":
        secret = share_text(random_text())
        fields = {"secret_sha256": digest_of(secret).hex(), "caller_permissions": sorted(principal.permissions)}
        return Sealed(fields, secret, once=SHARE_ONCE)
    if name == "caller_session":
        return Sealed({**_session(principal, "caller_session_id"), "places": principal.narrowing == WHOLE})
    if name == "sessions":
        return Sealed(_session(principal, "caller_session_id"))
    if name == "user_sessions":
        return Sealed({**_session(principal, "caller_session_id"), **_reach(principal)})
    if name in ("subscriber", "subscriber_key"):
        return Sealed({"caller_sites": list(principal.sites), "for_others": principal.may("identity:write")})
    if name == "for_others":  # what a person made is theirs, and that of those who answer for the board
        return Sealed({"for_others": principal.may("remediation:complete")})
    if name in ("approver", "delegator", "policy_approver"):
        return Sealed({"caller_role": principal.role})
    if name == "person":
        return _person(principal)
    if name in ("scope", "tokens", "token", "token_rotation"):
        return _token(name, principal)
    if name == "password_code":
        secret = secrets.token_urlsafe(32)
        return Sealed({"secret_sha256": digest_of(secret).hex(), **_reach(principal)}, secret, "code", CODE_ONCE)
    if name in ("webhook", "webhook_secret"):
        if not principal.may("signal:write"):
            raise Forbidden(
                "Whoever has a webhook's secret tells signals with it, also when your token is over; so this needs the "
                "permission signal:write, too.",
                permission="signal:write",
            )
        salt = secrets.token_hex(16)
        secret = webhooks.of(salt)
        fields = {"salt": salt, "fingerprint": digest_of(secret).hex()[:16]}
        new = {"webhook_id": uuid.uuid4().hex} if name == "webhook" else {}
        return Sealed(fields | new, secret, "secret", WEBHOOK_ONCE)
    if name in ("channel", "channel_change"):
        return _address(said, vault)
    if name in ("subscription", "subscription_secret"):
        if isinstance(said, SubscriptionCreate) and said.channel != WEBHOOK:
            return Sealed()
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        fields = _kept(secret, signing_place, vault)
        return Sealed(fields, secret, "signing_secret", WEBHOOK_ONCE)
    raise ValueError(f"unknown seal {name}")


def _person(principal: Principal) -> Sealed:
    """Raises `Forbidden` for a machine: it adds nothing, and is only for what a person does."""
    if principal.owner is not None:
        raise Forbidden(
            f"{principal.username} is a service account, and a machine sees nothing. Only a person can say this."
        )
    return Sealed()


def _reach(principal: Principal) -> dict[str, Any]:
    """What the caller may, and where: nobody gives or changes more."""
    return {"caller_permissions": sorted(principal.permissions), "caller_sites": list(principal.sites)}


def _powers(principal: Principal) -> list[dict[str, Any]]:
    """Each role that counts for a caller who was admitted: their own is among them, all as far as the token."""
    every = principal.powers or (Power(principal.role, principal.permissions, principal.sites),)
    return [{**asdict(one), "permissions": sorted(one.permissions)} for one in every]


def _session(principal: Principal, field_name: str) -> dict[str, Any]:
    """The session that the caller came with, if with one."""
    return {} if principal.session_id is None else {field_name: principal.session_id}


def _token(name: str, principal: Principal) -> Sealed:
    """With what the caller came, and where a token is to be made, its secret."""
    fields: dict[str, Any] = {"caller_sites": list(principal.sites), "caller_bounds": _bounds(principal)}
    if name != "scope":
        fields |= {"caller_token_id": principal.token_id, **_session(principal, "caller_session_id")}
    if name not in ("token", "token_rotation"):
        return Sealed(fields)
    secret = make_secret()
    return Sealed({**fields, "secret_sha256": digest_of(secret).hex()}, secret=secret)


def _bounds(principal: Principal) -> dict[str, Any]:
    """What the caller's own token is bound to, as it goes on the bus."""
    bound = principal.narrowing
    permissions = None if bound.permissions is None else sorted(bound.permissions)
    return {"permissions": permissions, "subjects": bound.subjects, "cidrs": bound.cidrs}


def _address(said: BaseModel | None, vault: Vault) -> Sealed:
    """Where a channel leads and what it is signed with, encrypted, and what may be shown of it."""
    dropped = frozenset({"address", "signing_secret"})
    if not isinstance(said, ChannelCreate | ChannelChange) or said.address is None:
        return Sealed(dropped=dropped)
    shown = shown_address(said.kind, said.address) + (", signed" if said.signing_secret else "")
    kept = _kept(joined(said.address, said.signing_secret), channel_place, vault)
    return Sealed(kept | {"address_shown": shown}, dropped=dropped)


def _kept(secret: str, place: Callable[[str], str], vault: Vault) -> dict[str, Any]:
    """A secret as the bus and the database have it. Raises `Unavailable` without a key."""
    fingerprint = digest_of(secret).hex()[:16]
    try:
        return {"secret": vault.seal(secret, place(fingerprint)), "fingerprint": fingerprint}
    except VaultError as error:
        raise Unavailable(str(error)) from None
