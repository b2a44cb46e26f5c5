"""Kinds of signals: what gates can judge, what the data of each must hold, and which reports make it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from libs.common.contracts.base import GET, Model, Nothing, Open, Query


class KindFormat(Open):
    """A format of reports, such as ``junit``: send them with ``POST /api/signals/{format}``."""

    format: str
    title: str


class SignalKind(Open):
    """``json_schema`` is of the data (JSON Schema 2020-12). It never forbids what is right; what keys must say
    together, such as counts that add up, is told in ``problems`` when a signal comes.
    """

    kind: str
    noun: str = Field(description="What sentences call such a signal")
    keys: list[str] = Field(description="What the data must hold; conditions see them as fact")
    optional_keys: list[str] = Field(description="What the data may hold")
    derived_keys: list[str] = Field(description="Totals over all parts; conditions see them as derived")
    reads_too: list[str] = Field(description="Kinds of the same version that the totals take in")
    formats: list[KindFormat]
    json_schema: dict[str, Any]
    own: bool = Field(
        False, description="Whether the installation declared it (`PUT /api/kinds`); else it is Headgate's"
    )


class KindName(Model):
    kind: str = Field(max_length=200)


class KindWanted(Open):
    """That rules in force at a site read a kind. ``site`` is `global` for rules that are in force everywhere.

    ``max_age_s``: how old the least patient of them lets a fact be, in seconds; null: none sets a limit.
    """

    site: str
    max_age_s: float | None


list_kinds = Query(
    "governance.signals.kinds",
    params=Nothing,
    result=list[SignalKind],
    permission="signal:read",
    http=GET("/api/signals/kinds"),
    summary="List the kinds of signals that gates can judge, each with the JSON Schema of its data",
    sited=False,
)
wanted_kinds = Query(  # for services that make such facts: how fresh they are wanted, and where
    "governance.kinds.wanted", params=KindName, result=list[KindWanted], sited=False
)
