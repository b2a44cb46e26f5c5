"""Governance's table of contents. Its handlers need the policies, so the service is built once those are read."""

from __future__ import annotations

from collections.abc import Mapping

from libs.common.buckets import REPORTS
from libs.common.contracts.governance import CONTRACT
from libs.common.objects import Bucket
from libs.common.service import Service
from libs.judge.dsse import Signer
from libs.judge.policy import Policy
from services.governance import (
    admission,
    backtests,
    badges,
    capsules,
    explanations,
    forecasts,
    integrity,
    loads,
    opsgate,
    paths,
    plan,
    policies,
    pruning,
    publishing,
    rejudging,
    runs,
    seen,
    stages,
    verdicts,
    wanted,
)
from services.governance import catalog as gates
from services.governance.capsules import Scribe
from services.governance.exceptions import (
    accounts,
    approvals,
    baselines,
    budget,
    delegations,
    emergencies,
    freeze_calendars,
    freezes,
    groups,
    halts,
    labels,
    retirements,
    waivers,
)
from services.governance.inputs import deliveries, facts, kinds, originals, own_kinds, probes, reports, signals, signers
from services.governance.inputs.prometheus import Prometheus
from services.governance.runs import Judging


def make_service(
    files: Mapping[str, Policy],
    signal_retention_days: int = 90,
    report_retention_days: int = 30,
    signer: Signer | None = None,
    prometheus: Prometheus | None = None,
) -> Service:
    """The service that judges by these files (name to policy, such as `startup.packaged_policies` gives), and by what
    is published.

    ``signer`` signs the decisions; without one a fresh key does, of which only the public half is kept.

    Signals that nothing needs are removed after ``signal_retention_days``, reports as the tools wrote them after
    ``report_retention_days``.
    """
    catalog, bucket, signer = gates.Catalog(files), Bucket(REPORTS.name), signer or Signer.fresh()
    judging = Judging(catalog, Scribe(signer))
    runs.begin_series(files)
    return Service.of(
        CONTRACT,
        signals.table(catalog),
        kinds.TABLE,
        wanted.table(catalog),
        own_kinds.TABLE,
        signers.TABLE,
        deliveries.table(catalog),
        reports.table(catalog, bucket),
        originals.table(bucket, report_retention_days),
        integrity.table(bucket, report_retention_days),
        gates.table(catalog),
        policies.table(catalog),
        publishing.table(catalog),
        backtests.table(catalog),
        runs.table(judging),
        admission.table(catalog),
        verdicts.TABLE,
        seen.table(catalog),
        badges.table(catalog),
        paths.table(catalog),
        loads.TABLE,
        explanations.table(catalog),
        forecasts.table(catalog),
        rejudging.table(judging),
        capsules.table(signer),
        plan.table(catalog),
        stages.table(catalog),
        waivers.table(catalog),
        baselines.table(catalog),
        halts.TABLE,
        facts.table(catalog),
        retirements.TABLE,
        freezes.table(catalog),
        freeze_calendars.table(catalog),
        groups.TABLE,
        labels.TABLE,
        delegations.TABLE,
        accounts.TABLE,
        emergencies.table(judging),
        budget.table(catalog),
        approvals.table(judging),
        opsgate.table(judging),
        probes.table(prometheus or Prometheus(None)),
        pruning.table(signal_retention_days),
    )
