"""The remediation plan of a gate as it stands now. Nothing is stored: the tracker keeps what is worked on."""

from __future__ import annotations

from functools import partial

from libs.common.contracts.governance import plans as contract
from libs.common.contracts.governance.plans import GatePlanOptions, Plan, PlanOptions
from libs.common.contracts.governance.runs import GateTarget
from libs.common.service import Read, Table
from services.governance.catalog import Catalog, Target
from services.governance.domain import plan as domain
from services.governance.gate import look
from services.governance.opsgate import OPERATIONS


async def get_plan(catalog: Catalog, read: Read, wanted: GatePlanOptions) -> Plan:
    """Judge a gate now and plan what is to mend. Raises `NotFound`, `Invalid`."""
    target = await catalog.target(read.pool, wanted, read.site)
    return await _plan(catalog, read, target, wanted.include_warnings, wanted.max_items)


async def ops_plan(catalog: Catalog, read: Read, wanted: PlanOptions) -> Plan:
    """The same for the operations gate."""
    target = await catalog.target(read.pool, GateTarget(gate=OPERATIONS), read.site)
    return await _plan(catalog, read, target, wanted.include_warnings, wanted.max_items)


async def _plan(catalog: Catalog, read: Read, target: Target, include_warnings: bool, max_items: int) -> Plan:
    policy = (await catalog.in_force(read.pool, target.gate, target.site)).policy(target.subject)
    looked = await look(read.pool, policy, target.placed(policy), read.now)
    plan = domain.make_plan(looked.verdict, read.now, include_warnings, max_items)
    return Plan.model_validate({"generated_at": read.now, **{name: getattr(plan, name) for name in _SHARED}},
                               from_attributes=True)  # fmt: skip


_SHARED = ("gate_generated_at", "decision", "include_warnings", "max_items", "summary", "items")


def table(catalog: Catalog) -> Table:
    """What this module answers, by the policies of the catalog."""
    return Table(
        queries={contract.get_plan: partial(get_plan, catalog), contract.ops_plan: partial(ops_plan, catalog)},
    )
