"""The kinds of signals and the formats of reports that make them: fixed by the code, so read from no table."""

from __future__ import annotations

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance import kinds as contract
from libs.common.contracts.governance.kinds import KindFormat, SignalKind
from libs.common.service import Read, Table
from libs.judge.derive import DERIVED_KEYS
from libs.judge.kinds import KINDS, Kind, schema_of
from services.governance.domain.readers.reports import TABLE as FORMATS


async def list_kinds(_read: Read, _params: Nothing) -> list[SignalKind]:
    """All kinds that a policy may read, in the order of their names."""
    return [_shown(KINDS[name]) for name in sorted(KINDS)]


def _shown(kind: Kind) -> SignalKind:
    return SignalKind(
        kind=kind.name,
        noun=kind.noun,
        keys=list(kind.keys),
        optional_keys=list(kind.optional),
        derived_keys=list(DERIVED_KEYS.get(kind.name, ())),
        reads_too=list(kind.reads_too),
        formats=[KindFormat(format=row.name, title=row.title) for row in FORMATS.values() if row.kind == kind.name],
        json_schema=schema_of(kind),
    )


TABLE = Table(queries={contract.list_kinds: list_kinds})
