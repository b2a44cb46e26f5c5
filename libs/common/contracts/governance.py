"""Governance: signals become facts, a gate judges them, a NO_GO yields a remediation plan."""

from __future__ import annotations

from libs.common.contracts.base import GET, POST, Command, Contract, Csv, Event, Nothing, Page, Query
from libs.common.contracts.common import dead_letter_commands, dead_letter_events, dead_letter_queries, outcome_query
from libs.common.contracts.governance_models import (
    GateDecided,
    GateInfo,
    GateName,
    GatePlanOptions,
    GateRun,
    GateTarget,
    HistoryLimit,
    OpsGate,
    OpsGateHistory,
    OpsGateRun,
    Plan,
    PlanOptions,
    ReportRecord,
    RunFilter,
    RunKey,
    Signal,
    SignalFilter,
    SignalKey,
    SignalReceipts,
    SignalRecord,
    SignalRecorded,
    SignalsRepeated,
)
from libs.common.problems import Conflict, Invalid, NotFound, TooLarge

PLAN_COLUMNS = (
    "item_id",
    "rule_id",
    "rule_status",
    "required",
    "priority",
    "owner_role",
    "sla_hours",
    "due_at",
    "action",
    "reason",
)

record_signals = Command(
    "governance.signal.record",
    body=SignalRecord,
    result=SignalReceipts,
    permission="signal:write",
    http=POST("/api/signals", query=("subject", "version"), status=201, reader="cloudevents"),
    errors=(Invalid, Conflict, TooLarge),
    summary="Record CloudEvents (binary, structured or batched) as signals",
)
record_report = Command(
    "governance.report.record",
    body=ReportRecord,
    result=SignalReceipts,
    permission="signal:write",
    http=POST("/api/signals/{format}", query=("subject", "version", "part", "source"), status=201, reader="report"),
    errors=(Invalid, TooLarge),
    summary="Record a report as a tool wrote it: JUnit or Cobertura XML, SARIF 2.1.0, an Alertmanager v4 webhook",
)
list_signals = Query(
    "governance.signals.list",
    params=SignalFilter,
    result=Page[Signal],
    permission="signal:read",
    http=GET("/api/signals"),
    errors=(Invalid,),
    summary="List signals, newest first (without data)",
)
get_signal = Query(
    "governance.signals.get",
    params=SignalKey,
    result=Signal,
    permission="signal:read",
    http=GET("/api/signals/{signal_id}"),
    errors=(NotFound,),
    summary="Show a signal with its data",
)
list_gates = Query(
    "governance.gates.list",
    params=Nothing,
    result=list[GateInfo],
    permission="gate:read",
    http=GET("/api/gates"),
    summary="List the gates with their policies",
    sited=False,
)
get_gate = Query(
    "governance.gates.get",
    params=GateName,
    result=GateInfo,
    permission="gate:read",
    http=GET("/api/gates/{gate}"),
    errors=(NotFound,),
    summary="Show a gate and its policy",
    sited=False,
)
run_gate = Command(
    "governance.gate.run",
    body=GateTarget,
    result=GateRun,
    permission="gate:run",
    http=POST("/api/gates/{gate}/runs", status=201),
    errors=(NotFound, Invalid),
    summary="Judge the facts now and store the verdict",
)
list_runs = Query(
    "governance.runs.list",
    params=RunFilter,
    result=Page[GateRun],
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs"),
    errors=(NotFound, Invalid),
    summary="List a gate's verdicts, newest first",
)
get_run = Query(
    "governance.runs.get",
    params=RunKey,
    result=GateRun,
    permission="gate:read",
    http=GET("/api/gates/{gate}/runs/{run_id}"),
    errors=(NotFound,),
    summary="Show a verdict",
)
get_plan = Query(
    "governance.plan.get",
    params=GatePlanOptions,
    result=Plan,
    permission="remediation:read",
    http=GET(
        "/api/gates/{gate}/remediation",
        csv=Csv("items", PLAN_COLUMNS, "remediation"),
    ),
    errors=(NotFound, Invalid),
    summary="The remediation plan of a gate as it stands now",
)
ops_gate = Query(
    "governance.ops_gate.get",
    params=Nothing,
    result=OpsGate,
    permission="gate:read",
    http=GET("/api/ops/governance/gate"),
    errors=(NotFound,),
    summary="Judge the operations gate now without storing a run",
)
ops_gate_run = Command(
    "governance.ops_gate.run",
    body=Nothing,
    result=OpsGateRun,
    permission="gate:run",
    http=POST("/api/ops/governance/gate/run"),
    errors=(NotFound,),
    summary="Run the operations gate and store the verdict",
)
ops_gate_latest = Query(
    "governance.ops_gate.latest",
    params=Nothing,
    result=OpsGateRun,
    permission="gate:read",
    http=GET("/api/ops/governance/gate/latest"),
    errors=(NotFound,),
    summary="The newest run of the operations gate",
)
ops_gate_history = Query(
    "governance.ops_gate.history",
    params=HistoryLimit,
    result=OpsGateHistory,
    permission="gate:read",
    http=GET("/api/ops/governance/gate/history"),
    errors=(NotFound,),
    summary="Runs of the operations gate, newest first",
)
ops_plan = Query(
    "governance.ops_plan.get",
    params=PlanOptions,
    result=Plan,
    permission="remediation:read",
    http=GET(
        "/api/ops/governance/gate/remediation",
        csv=Csv("items", PLAN_COLUMNS, "ops-governance-remediation"),
        csv_path="/api/ops/governance/gate/remediation/csv",
    ),
    errors=(NotFound,),
    summary="The remediation plan of the operations gate as it stands now",
)
signal_recorded = Event("governance.signal.recorded", data=SignalRecorded, summary="A signal was stored")
signal_repeated = Event(
    "governance.signal.repeated", data=SignalsRepeated, summary="Signals came again that were recorded before"
)
gate_decided = Event("governance.gate.decided", data=GateDecided, summary="A gate judged and its verdict was stored")

CONTRACT = Contract(
    "governance",
    commands=(record_signals, record_report, run_gate, ops_gate_run, *dead_letter_commands("governance")),
    queries=(
        list_signals,
        get_signal,
        list_gates,
        get_gate,
        list_runs,
        get_run,
        get_plan,
        ops_gate,
        ops_gate_latest,
        ops_gate_history,
        ops_plan,
        outcome_query("governance"),
        *dead_letter_queries("governance"),
    ),
    events=(signal_recorded, signal_repeated, gate_decided, *dead_letter_events("governance")),
)
