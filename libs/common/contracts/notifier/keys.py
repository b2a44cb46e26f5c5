"""Keys of the vault in the notifier, which keeps other systems' secrets: which are needed, and encrypting anew."""

from __future__ import annotations

from libs.common.contracts.base import POST, Command, Event, Nothing, Query
from libs.common.contracts.keys import KeysOf, Rewrapped
from libs.common.problems import Unavailable

# Without a route of its own: `GET /api/keys` of the gateway asks it.
show_keys = Query("notifier.keys.show", params=Nothing, result=KeysOf, permission="operations:read", sited=False)
rewrap = Command(
    "notifier.keys.rewrap",
    body=Nothing,
    result=Rewrapped,
    permission="keys:write",
    http=POST("/api/keys/rewrap"),
    about="{key_id}",
    errors=(Unavailable,),
    summary="Encrypt a batch of stored secrets anew with the key in use; a job does it each minute by itself",
    sited=False,
)
rewrapped = Event("notifier.keys.rewrapped", data=Rewrapped, summary="Stored secrets were encrypted by another key")
