"""Operations' table of contents: it watches the installation itself."""

from __future__ import annotations

from libs.common.contracts.operations import CONTRACT
from libs.common.service import Service
from services.operations import preflight

SERVICE = Service.of(
    CONTRACT,
    preflight.TABLE,
)
