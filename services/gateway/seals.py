"""What the edge adds to a request itself (`Http.seal`), so that no caller can say it and no bus carries a secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from libs.common.contracts.roles import may
from services.gateway.bootstrap import digest_of, make_secret
from services.gateway.identity import Principal

ONCE = (
    "The token was shown once, in the first answer to this Idempotency-Key. If it is lost, revoke it and issue another."
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """``fields`` go on the bus with the request's; ``secret`` is shown to the caller and to nobody else."""

    fields: dict[str, Any] = field(default_factory=dict)
    secret: str | None = None

    @property
    def fingerprint(self) -> str | None:
        """The first 16 hex digits of the secret's SHA-256, as lists of tokens show it."""
        return digest_of(self.secret).hex()[:16] if self.secret else None

    def open(self, result: bytes) -> bytes:
        """The result for the caller: with the secret if it is this one that was stored, else with a note."""
        if self.secret is None:
            return result
        document = orjson.loads(result)
        if document.get("fingerprint") == self.fingerprint:
            document["token"] = self.secret
        else:
            document["note"] = ONCE
        return orjson.dumps(document)

    def preview(self) -> dict[str, Any]:
        """What a 202 tells: the secret now, since the later outcome will not hold it."""
        if self.secret is None:
            return {}
        note = "The token works once the command is done and its result shows this fingerprint."
        return {"token": self.secret, "fingerprint": self.fingerprint, "note": note}


def seal(name: str | None, principal: Principal) -> Sealed:
    """The fields that the named seal adds; an unknown name is an error of ours and stops the start (see `mount`)."""
    if name is None:
        return Sealed()
    if name == "caller":
        return Sealed({"token_id": principal.token_id})
    if name == "scope":
        return Sealed({"caller_sites": list(principal.sites)})
    if name == "for_others":  # what a person made is theirs, and that of those who answer for the board
        return Sealed({"for_others": may(principal.role, "remediation:complete")})
    if name == "token":
        secret = make_secret()
        return Sealed({"secret_sha256": digest_of(secret).hex(), "caller_sites": list(principal.sites)}, secret=secret)
    raise ValueError(f"unknown seal {name}")
