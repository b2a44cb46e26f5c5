"""From which address and with which program something was asked, in clear."""

from __future__ import annotations

from libs.common.contracts.base import Open


class Client(Open):
    """Null: there is none, or nobody can read it any more."""

    address: str | None
    agent: str | None
