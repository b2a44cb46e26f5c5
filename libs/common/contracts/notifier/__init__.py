"""Notifier: tells other systems what happened, each event once per subscription in effect, signed."""

from __future__ import annotations

from libs.common.contracts.base import EVERYTHING
from libs.common.contracts.collect import collect

CONTRACT = collect(__name__, hears=EVERYTHING, asks=("gateway.users.page",))
