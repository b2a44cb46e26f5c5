"""Operations: watches the installation itself, and says what it found as signals that gates judge."""

from __future__ import annotations

from libs.common.contracts.collect import collect
from libs.common.contracts.preflight import preflight_event, preflight_query
from libs.common.roster import SERVICES

_OTHERS = tuple(service for service in SERVICES if service != "operations")

CONTRACT = collect(
    __name__,
    hears=tuple(preflight_event(service).name for service in SERVICES),
    asks=tuple(preflight_query(service).name for service in _OTHERS),
)
