"""Capsules: a decision with all that it was made of, signed, so that an outsider can judge again without asking."""

from __future__ import annotations

from pydantic import Field

from libs.common.contracts.base import GET, Model, Nothing, Open, Query, Time
from libs.common.contracts.blobs import Blob
from libs.common.contracts.governance.runs import RunKey
from libs.common.problems import NotFound, TooLarge


class CapsuleKey(Open):
    """A public key that has signed capsules. ``key_id``: SHA-256 (hex) of its SubjectPublicKeyInfo in DER.

    ``in_use``: the key that signs now.
    """

    key_id: str
    public_key_pem: str
    first_used_at: Time | None
    in_use: bool


class KeyName(Model):
    key_id: str = Field(pattern=r"^[a-z0-9]{1,64}$", description="A key's id, or current: the one in use")


get_capsule = Query(
    "governance.capsules.get",
    params=RunKey,
    result=Blob,
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs/{run_id}/capsule", file="application/json"),
    errors=(NotFound, TooLarge),
    summary="The capsule of a decision, for `headgate verify`",
)
list_capsule_keys = Query(
    "governance.capsule_keys.list",
    params=Nothing,
    result=list[CapsuleKey],
    permission="gate:read",
    http=GET("/api/capsule-keys"),
    summary="The public keys that verify capsules",
    sited=False,
)
get_capsule_key = Query(
    "governance.capsule_keys.get",
    params=KeyName,
    result=Blob,
    permission="gate:read",
    http=GET("/api/capsule-keys/{key_id}", file="application/x-pem-file"),
    errors=(NotFound,),
    summary="A public key in PEM, for `headgate verify --key`",
    sited=False,
)
