"""The tool's tree of commands, built as far as a call needs it: a group's commands are made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from libs.client.generated.places import groups, twin

# Groups with commands by hand: the module and the name of its typer application.
BY_HAND = {
    "signal": ("signals", "signals"),
    "report": ("signals", "reports"),
    "gate": ("gate", "gates"),
    "policies": ("policies", "policies"),
    "freezes": ("freezes", "freezes"),
    "audit": ("audit", "audit"),
    "ci": ("ci", "ci"),
    "passwords": ("passwords", "passwords"),
    "events": ("events", "events"),
    "dead-letters": ("deadletters", "dead_letters"),
    "jobs": ("jobs", "jobs"),
    "backup": ("backup", "backups"),
    "dr": ("backup", "rehearsals"),
    "ops": ("ops", "ops"),
    "deploy": ("deploy", "deploys"),
    "guides": ("deploy", "guides"),
    "keys": ("keys", "keys"),
}
HELPS = {
    "signal": "Signals: what gates judge by.",
    "report": "Reports as tools write them.",
    "gate": "Gates: policies, verdicts and their reasons.",
    "policies": "Policies: what a gate asks, its versions and drafts.",
    "plan": "Remediation plans.",
    "items": "Remediation items: who does what by when.",
    "escalation": "Escalation: who is told of what is due and not done.",
    "chains": "Escalation chains of a site: who is told, after which wait, how often again.",
    "calendar": "Business calendars: when deadlines run.",
    "sla-rules": "SLA rules: how long an item may stay open.",
    "baselines": "Accepted baselines: known findings that may be there until a day.",
    "facts": "Facts: what counts now, and ending what no signal would ever end.",
    "retirements": "Facts that people have ended.",
    "waivers": "Waivers: what does not count for a while, by the word of two persons.",
    "delegations": "Who approves in whose stead, until when.",
    "labels": "Labels of versions, such as hotfix: what exempts one lets it pass, with one more approval.",
    "overrides": "Emergency overrides: who made a NO-GO a GO, for how long, and who confirmed it.",
    "exceptions": "Exceptions that a site has made, and what its budget still allows.",
    "groups": "Groups of people who approve, and which users are one person.",
    "freezes": "Freeze calendars: when no gate says GO.",
    "kinds": "Kinds of one's own: what the data of an installation's own signals hold.",
    "subscriptions": "Subscriptions: which events are sent to whom.",
    "channels": "Channels: the places where a site's people read, by name.",
    "own-channels": "Your own channels: where you yourself are told.",
    "deliveries": "Deliveries: what became of each event that was to be sent.",
    "alerts": "Alerts: deliveries and channels in the words of the facility system.",
    "guard": "The guard: which targets are left alone since they fail, and probing them.",
    "signers": "Whose signatures and identity tokens beside reports count.",
    "line": "Stop the line: no gate says GO until it is lifted.",
    "audit": "The audit log: a hash chain that anybody can recompute.",
    "events": "Live events.",
    "ci": "Pipelines: coming in without a secret.",
    "federation": "Machines without secrets: whose identity tokens are exchanged, and by which rules.",
    "tokens": "Tokens: issue, rotate, revoke.",
    "sign-in": "How people sign in: their providers, who is what by which rule, and trying it.",
    "sessions": "Sessions: where you are signed in, where somebody is, and ending them.",
    "session-policy": "How long people stay signed in, and how many sessions one may have.",
    "shares": "Share links: one thing is shown to whoever has the link, for a while.",
    "second-factor": "Your second factor: a code of an app, and recovery codes.",
    "passwords": "Passwords, for people without a provider: a code for one, choosing it, changing it.",
    "token-policy": "How long tokens live, and what is told before they end.",
    "users": "Users, their roles and scopes.",
    "accounts": "Service accounts: machines, and the persons who answer for them.",
    "sites": "Sites.",
    "dead-letters": "Messages that could not be applied.",
    "kpi": "KPIs of a site's boards: backlog, ageing, throughput, and whether it gets better.",
    "jobs": "What runs by the clock, what it did, and running it by hand.",
    "ops": "Operations: whether the installation is in order.",
    "security": "The security of a site: its risk by name, and what one user adds to it.",
    "security-policy": "The security policy of a site: what gives points, and from when a risk is high.",
    "preflight": "Preflight: what each service found of its settings and surroundings.",
    "check-files": "Check files: what daily checks left in the store.",
    "checks": "Daily checks: made, and the newest.",
    "runbook": "The runbook: every check of the installation, and the daily checks.",
    "ops-gate": "The operations gate, as callers of the facility system know it.",
    "ops-plan": "The remediation plan of the operations gate.",
    "backup": "Backups of this installation: made, verified and restored.",
    "dr": "Rehearsed recovery: a backup is really restored, and compared.",
    "backup-reports": "What the installation knows of its backups.",
    "keeper": "The administrator's process that makes backups and rehearses.",
    "rehearsals": "Rehearsals of recovery: asked for, and how they went.",
    "deploy": "Deployments: their checklist, testing one from outside, and what was recorded.",
    "reviews": "Reviews of a month: where the runbook and the tests of deployments did not agree.",
    "guides": "Rollback guides: what people follow to go back, in every version of it.",
    "quality": "Quality reports: of a week or a month, made, archived, and the streak of weeks.",
    "latency": "How fast the HTTP API answers.",
    "slo": "SLOs: error budgets, burn rates and alerts of the HTTP API.",
}


def load(name: str) -> TyperGroup:
    """The whole group: its commands by hand, then those of the contracts."""
    if name in BY_HAND:
        module, attribute = BY_HAND[name]
        app: typer.Typer = getattr(import_module(f"libs.client.commands.{module}"), attribute)
    else:
        app = typer.Typer(no_args_is_help=True, help=help_of(name))
    add_made(app, name)
    return get_group(app)


def add_made(app: typer.Typer, name: str) -> None:
    """Add the commands of the contracts that belong to a group ("": to none)."""
    from libs.client.generated.build import Made

    for operation in groups().get(name, ()):
        if operation.http is not None:
            Made(operation, operation.http).add_to(app)


def help_of(name: str) -> str:
    """A sentence on a group: ours, or what its operations do."""
    if name in HELPS:
        return HELPS[name]
    return "; ".join(operation.summary.rstrip(".") for operation in groups()[name][:3]) + "."


class Later(TyperGroup):
    """A group that is loaded when its commands are asked for."""

    loader: Callable[[], TyperGroup] | None = None

    def _load(self) -> None:
        if self.loader is not None:
            loader, self.loader = self.loader, None
            self.commands.update(loader().commands)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands."""
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        self._load()
        return super().get_command(ctx, cmd_name)


class Root(TyperGroup):
    """Knows the groups by name; ``item`` finds ``items`` and the other way round."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Commands without a group, then the groups."""
        return [*super().list_commands(ctx), *_names()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command or group of this name, or None."""
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        name = next((one for one in (cmd_name, twin(cmd_name)) if one in _names()), None)
        if name is None:
            return None
        group = Later(name=name, help=help_of(name), no_args_is_help=True)
        group.loader = lambda: load(name)
        return group


def _names() -> list[str]:
    return [*HELPS, *(name for name in groups() if name and name not in HELPS)]
