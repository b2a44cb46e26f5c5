"""Backups of a whole installation: made, listed, verified, restored, and rehearsed (docs/operations.md).

An administrator's work, on the installation's own machine: no service can do it. ``python -m deploy.backup``, which the
commands ``headgate backup`` and ``headgate dr`` become.
"""
