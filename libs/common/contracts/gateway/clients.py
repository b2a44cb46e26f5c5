"""Clients: from which address and with which program commands came, as the audit log has it: sealed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from libs.common.contracts.base import Model, Query
from libs.common.contracts.clients import Client
from libs.common.problems import Forbidden

MAX_OPENED = 500
_Text = Annotated[str, StringConstraints(max_length=200)]


class SealedClient(Model):
    """What an entry of the log says: who it was, and the sealed texts."""

    actor: Annotated[str, StringConstraints(max_length=300)]
    address: _Text | None = None
    agent: _Text | None = None


class ClientsSealed(Model):
    items: Annotated[list[SealedClient], Field(max_length=MAX_OPENED)]


# For the audit log, which has the sealed texts and no keys. In the order of what was asked.
open_clients = Query(
    "gateway.clients.open", params=ClientsSealed, result=list[Client], errors=(Forbidden,), sited=False
)
