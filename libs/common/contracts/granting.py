"""Who grants: what the edge adds to whatever gives somebody rights, since nobody gives what they don't hold."""

from __future__ import annotations

from libs.common.contracts.base import Model


class Granter(Model):
    """What the caller may, by role *and* token, and at which sites.

    None: sent by a gateway of a version before, so that the role alone counts.
    """

    caller_permissions: list[str] | None = None
    caller_sites: list[str] | None = None
