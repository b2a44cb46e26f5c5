"""Governance's table of contents. Its handlers need the policies, so the service is built once those are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from libs.common.contracts import governance as contract
from libs.common.service import Service
from services.governance import catalog as gates
from services.governance import opsgate, plan, reports, runs, signals
from services.governance.domain.policy import Policy


def make_service(policies: Mapping[str, Policy]) -> Service:
    """The service that judges by these policies (name to policy), such as `startup.packaged_policies` gives."""
    catalog = gates.Catalog(policies)
    runs.begin_series(policies)
    return Service(
        contract=contract.CONTRACT,
        commands={
            contract.record_signals: partial(signals.record_signals, catalog),
            contract.record_report: partial(reports.record_report, catalog),
            contract.run_gate: partial(runs.run_gate, catalog),
            contract.ops_gate_run: partial(opsgate.ops_gate_run, catalog),
        },
        queries={
            contract.list_signals: signals.list_signals,
            contract.get_signal: signals.get_signal,
            contract.list_gates: partial(gates.list_gates, catalog),
            contract.get_gate: partial(gates.get_gate, catalog),
            contract.list_runs: partial(runs.list_runs, catalog),
            contract.get_run: partial(runs.get_run, catalog),
            contract.get_plan: partial(plan.get_plan, catalog),
            contract.ops_gate: partial(opsgate.ops_gate, catalog),
            contract.ops_gate_latest: partial(opsgate.ops_gate_latest, catalog),
            contract.ops_gate_history: partial(opsgate.ops_gate_history, catalog),
            contract.ops_plan: partial(plan.ops_plan, catalog),
        },
        jobs=(runs.rejudge_job(catalog),),
    )
