"""Gateway: who may do what where. Identity is changed by contracts like everything else."""

from __future__ import annotations

from libs.common.contracts.base import EVERYTHING
from libs.common.contracts.collect import collect

CONTRACT = collect(__name__, sends=EVERYTHING, asks=EVERYTHING)
