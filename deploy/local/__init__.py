"""Headgate on one machine: servers and services under one supervisor. For people: ``python -m deploy.local``."""

from deploy.local.stack import LocalError, LocalStack

__all__ = ["LocalError", "LocalStack"]
