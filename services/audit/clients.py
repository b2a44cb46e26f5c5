"""From where commands came, as it is shown: clear for who may read it, a mask for everybody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from libs.common.contracts.gateway.clients import MAX_OPENED, ClientsSealed, SealedClient, open_clients
from libs.common.personal import ERASED, MASK, is_sealed, may_read
from libs.common.service import Read

Said = tuple[str, str | None, str | None]
"""Who it was; address and agent as they are stored."""
Shown = tuple[str | None, str | None]


async def shown(read: Read, stored: Iterable[Said]) -> Mapping[Said, Shown]:
    """Address and agent as the asker may see them. Raises `Unavailable` and `TimedOut` while the gateway is away."""
    found: dict[Said, Shown] = {}
    sealed: list[Said] = []
    for said in set(stored):
        actor, *texts = said
        if not may_read(read.permissions, read.actor, actor):
            found[said] = _each(texts, MASK)
        elif any(text is not None and is_sealed(text) for text in texts):
            sealed.append(said)
        else:
            found[said] = said[1:]
    for start in range(0, len(sealed), MAX_OPENED):
        some = sealed[start : start + MAX_OPENED]
        items = [SealedClient(actor=actor, address=address, agent=agent) for actor, address, agent in some]
        opened = await read.ask(open_clients, ClientsSealed(items=items))
        for said, one in zip(some, opened, strict=True):
            address, agent = _each(said[1:], ERASED)
            found[said] = one.address or address, one.agent or agent
    return found


async def with_clients(
    read: Read, rows: Iterable[Mapping[str, Any]], actor: str | None = None, by: str = "actor"
) -> list[dict[str, Any]]:
    """The rows with what may be shown in ``client_address`` and ``client_agent``.

    Whose they are says ``actor``, else their column ``by``. Raises as `shown` does.
    """
    all_rows = [dict(row) for row in rows]
    keys = [_said(row, row[by] if actor is None else actor) for row in all_rows]
    seen = await shown(read, (key for key in keys if key is not None))
    return [
        row if key is None else row | dict(zip(("client_address", "client_agent"), seen[key], strict=True))
        for row, key in zip(all_rows, keys, strict=True)
    ]


def _said(row: Mapping[str, Any], actor: Any) -> Said | None:
    address, agent = row["client_address"], row["client_agent"]
    return None if address is None and agent is None else (str(actor or ""), address, agent)


def _each(texts: Iterable[str | None], word: str) -> Shown:
    address, agent = (None if text is None else word for text in texts)
    return address, agent
