"""The kinds of signals and the formats of reports that make them: fixed by the code, and beside them one's own."""

from __future__ import annotations

import json

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance import kinds as contract
from libs.common.contracts.governance.kinds import KindFormat, SignalKind
from libs.common.service import Read, Table
from libs.judge.derive import DERIVED_KEYS
from libs.judge.kinds import KINDS, Kind, schema_of
from libs.judge.own_kinds import OwnKind, by_name, derived_keys
from services.governance.domain.readers.reports import TABLE as FORMATS
from services.governance.inputs.own_kinds import all_declared


async def list_kinds(read: Read, _params: Nothing) -> list[SignalKind]:
    """All kinds that a policy may read, in the order of their names."""
    declared = await all_declared(read.pool)
    own = by_name(declared)
    shown = [_shown(kind) for kind in KINDS.values()]
    shown += [_shown_own(one, own[one.name]) for one in declared if one.name in own]
    return sorted(shown, key=lambda one: one.kind)


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


def _shown_own(declared: OwnKind, kind: Kind) -> SignalKind:
    return SignalKind(
        kind=kind.name,
        noun=kind.noun,
        keys=list(kind.keys),
        optional_keys=list(kind.optional),
        derived_keys=list(derived_keys(kind)),
        reads_too=[],
        formats=[],
        json_schema=json.loads(declared.schema),
        own=True,
    )


TABLE = Table(queries={contract.list_kinds: list_kinds})
