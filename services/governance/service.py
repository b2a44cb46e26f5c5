"""Governance's table of contents. Its handlers need the policies, so the service is built once those are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from libs.common.contracts.governance import CONTRACT
from libs.common.contracts.governance.gates import get_gate, list_gates
from libs.common.contracts.governance.operations import ops_gate, ops_gate_history, ops_gate_latest, ops_gate_run
from libs.common.contracts.governance.plans import get_plan, ops_plan
from libs.common.contracts.governance.reports import record_report
from libs.common.contracts.governance.runs import get_run, list_runs, run_gate
from libs.common.contracts.governance.signals import get_signal, list_signals, record_signals
from libs.common.service import Service
from services.governance import catalog as gates
from services.governance import opsgate, plan, reports, runs, signals
from services.governance.domain.policy import Policy


def make_service(policies: Mapping[str, Policy]) -> Service:
    """The service that judges by these policies (name to policy), such as `startup.packaged_policies` gives."""
    catalog = gates.Catalog(policies)
    runs.begin_series(policies)
    return Service(
        contract=CONTRACT,
        commands={
            record_signals: partial(signals.record_signals, catalog),
            record_report: partial(reports.record_report, catalog),
            run_gate: partial(runs.run_gate, catalog),
            ops_gate_run: partial(opsgate.ops_gate_run, catalog),
        },
        queries={
            list_signals: signals.list_signals,
            get_signal: signals.get_signal,
            list_gates: partial(gates.list_gates, catalog),
            get_gate: partial(gates.get_gate, catalog),
            list_runs: partial(runs.list_runs, catalog),
            get_run: partial(runs.get_run, catalog),
            get_plan: partial(plan.get_plan, catalog),
            ops_gate: partial(opsgate.ops_gate, catalog),
            ops_gate_latest: partial(opsgate.ops_gate_latest, catalog),
            ops_gate_history: partial(opsgate.ops_gate_history, catalog),
            ops_plan: partial(plan.ops_plan, catalog),
        },
        jobs=(runs.rejudge_job(catalog),),
    )
