"""What can't be read or can't be computed here."""

from __future__ import annotations


class SloError(ValueError):
    """A file of SLOs that is not taken; the message names file, line and what to write instead."""
