"""The gates that this process judges: their policies by name, and what kinds of signals they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from libs.common.contracts.base import Nothing
from libs.common.contracts.governance import gates as contract
from libs.common.contracts.governance.gates import GateInfo, GateName, RuleInfo
from libs.common.problems import Invalid, NotFound
from libs.common.service import Read, Table
from libs.judge.kinds import KINDS
from libs.judge.policy import Policy

SITE_SUBJECT = "site"  # the subject of gates that judge a whole site


@dataclass(frozen=True, slots=True)
class Target:
    """What a gate judges: ``version`` is "" for a whole site."""

    gate: str
    site: str
    subject: str
    version: str


class Catalog:
    """The policies in force. They are read once at start and never change while the process runs."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self.policies = dict(policies)
        scopes: dict[str, set[str]] = {}
        for policy in self.policies.values():
            for rule in policy.rules:
                for kind in (rule.kind, *KINDS[rule.kind].reads_too):
                    scopes.setdefault(kind, set()).add(rule.scope)
        self._scopes = scopes

    def policy(self, gate: str) -> Policy:
        """The policy of a gate. Raises `NotFound` naming the gates there are."""
        found = self.policies.get(gate)
        if found is None:
            raise NotFound(f"There is no gate {gate}; the gates are {', '.join(self.policies)}.")
        return found

    def is_judged(self, kind: str) -> bool:
        """Whether a policy reads this kind of signal."""
        return kind in self._scopes

    def check_version(self, kind: str, version: str, which: str = "This") -> None:
        """Raise `Invalid` if no rule could ever read a fact of ``kind`` with (or without) this version."""
        scopes = self._scopes.get(kind)
        if scopes == {"subject"} and version:
            raise Invalid(f"{which} is of the kind {kind}, which tells of no single version; leave the version out.")
        if scopes == {"version"} and not version:
            raise Invalid(f"{which} is of the kind {kind}, which tells of one version; give it, such as version=1.4.2.")

    def target(self, gate: str, site: str, subject: str | None, version: str | None) -> Target:
        """What to judge. Raises `NotFound` for an unknown gate, `Invalid` if it needs other fields."""
        if self.policy(gate).subject_mode == "site":
            if subject is not None or version is not None:
                raise Invalid(f"The gate {gate} judges a whole site; leave subject and version out.")
            return Target(gate, site, SITE_SUBJECT, "")
        if subject is None or version is None:
            raise Invalid(f"The gate {gate} judges one version of one subject; give both subject and version.")
        return Target(gate, site, subject, version)


def _gate_info(policy: Policy) -> GateInfo:
    return GateInfo(
        gate=policy.name,
        title=policy.title,
        description=policy.description,
        subject_mode=policy.subject_mode,
        allow_warning=policy.allow_warning,
        min_weighted_score_percent=policy.min_weighted_score_percent,
        policy_digest=policy.digest,
        rules=[
            RuleInfo(
                id=rule.id,
                title=rule.title,
                kind=rule.kind,
                required=rule.required,
                weight=rule.weight,
                condition=rule.condition.expression,
                max_age_hours=rule.max_age_hours,
                owner_role=rule.owner_role,
                sla_hours=rule.sla_hours,
                action=rule.action,
            )
            for rule in policy.rules
        ],
    )


async def list_gates(catalog: Catalog, _read: Read, _params: Nothing) -> list[GateInfo]:
    """All gates, in the order of their files' names."""
    return [_gate_info(policy) for policy in catalog.policies.values()]


async def get_gate(catalog: Catalog, _read: Read, params: GateName) -> GateInfo:
    """One gate. Raises `NotFound`."""
    return _gate_info(catalog.policy(params.gate))


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        queries={contract.list_gates: partial(list_gates, catalog), contract.get_gate: partial(get_gate, catalog)},
    )
