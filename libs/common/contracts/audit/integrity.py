"""A sample of what the service keeps, hashed anew."""

from __future__ import annotations

from libs.common.contracts.integrity import integrity_query

sample_kept = integrity_query("audit")
