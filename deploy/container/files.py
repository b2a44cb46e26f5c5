"""What compose.yml, Prometheus and the chart's values say of each service, written from their list: `make docs`.

A region lies between ``# >>> name`` and ``# <<< name``; all around it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from libs.common.roster import SERVICES
from libs.common.settings import Settings

FIRST_PORT = 8080  # inside the containers; compose.yml sets it
FILES = (
    Path("deploy/compose.yml"),
    Path("deploy/prometheus/prometheus.yml"),
    Path("deploy/prometheus/rules.yml"),
    Path("deploy/helm/headgate/values.yaml"),
)
_REGION = re.compile(r"^(?P<indent> *)# >>> (?P<name>[a-z]+)(?P<note>.*)\n(?:.*\n)*?^ *# <<< (?P=name)$", re.MULTILINE)

# The gateway's container is written by hand: it is published, and keeps the first owner's token.
SERVICE = """\
{name}:
  <<: *service
  environment: {{<<: *environment, HEADGATE_SERVICE: {name}{own}}}
  expose: ["{port}"]
  volumes: ["secrets-{name}:/run/headgate:ro", "${{HEADGATE_FILES:-files}}:/etc/headgate:ro", "/tmp"]
  healthcheck: *health
"""

# What no other service is told.
OWN = {
    "governance": ("HEADGATE_PROMETHEUS_URL", "HEADGATE_CAPSULE_KEY_FILE"),
    "audit": tuple(f"HEADGATE_AUDIT_{name}" for name in ("ORIGIN", "WITNESSES", "KEY_FILE", "PQ", "PQ_KEY_FILE")),
    "notifier": (
        "HEADGATE_PUBLIC_URL",
        "HEADGATE_VAULT_KEY_FILE",
        "HEADGATE_PAGERDUTY_URL",
        *(f"HEADGATE_SMTP_{name}" for name in ("HOST", "PORT", "SECURITY", "USER", "PASSWORD", "FROM")),
    ),
}

# What an operator can't say here: the step `secrets` writes it for each container, or compose.yml fixes it.
MADE_HERE = {
    "http_host", "http_port", "data_dir", "database_url", "nats_url", "nats_monitor_url", "admin_database_url",
    "admin_nats_url", "rehearsal_nats_url", "keeper_token_sha256", "capsule_secret", "audit_secret", "webhook_secret",
    "vault_secret", "bus_account_seed", "bus_system_password", "log_format",
}  # fmt: skip
# What the containers have that are written by hand: the gateway, the administrator, the keeper.
BY_HAND = {"audit_public", "bootstrap_token", "sign_in_secrets", "backup_dir", "backup_schedule", "backup_keep_daily",
           "backup_keep_weekly", "backup_keep_monthly", "backup_key_file", "cluster_secret",
           "nats_replicas"}  # fmt: skip


def _settings(_services: Sequence[str]) -> str:
    """All other settings go to every service. An empty one counts as not set (`load_environment`)."""
    told = {name.removeprefix("HEADGATE_").lower() for names in OWN.values() for name in names}
    common = [name.upper() for name in Settings.model_fields if name not in MADE_HERE | BY_HAND | told]
    return "".join(f"HEADGATE_{name}: ${{HEADGATE_{name}:-}}\n" for name in common)


def _ports(services: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, FIRST_PORT + above) for above, name in enumerate(services)]


def _blocks(services: Sequence[str]) -> str:
    return "\n".join(
        SERVICE.format(name=name, port=port, own="".join(f", {one}: '${{{one}:-}}'" for one in OWN.get(name, ())))
        for name, port in _ports(services)
        if name != "gateway"
    )


def _missing(services: Sequence[str]) -> str:
    """As one expression: `absent` of one selector answers with its labels, so the alert says which service it is."""
    asked = [f'absent(up{{job="headgate", service="{name}"}})' for name in services]
    return "expr: |\n  " + "\n  or ".join(asked) + "\n"


REGIONS: dict[str, Callable[[Sequence[str]], str]] = {
    "settings": _settings,
    "secrets": lambda services: "".join(f"- secrets-{name}:/secrets/{name}\n" for name in services),
    "services": _blocks,
    "names": lambda services: "".join(f"{name}: {{}}\n" for name in services),
    "volumes": lambda services: "".join(f"secrets-{name}:\n" for name in services),
    "missing": _missing,
    "targets": lambda services: "".join(
        f'- {{targets: ["{name}:{port}"], labels: {{service: {name}}}}}\n' for name, port in _ports(services)
    ),
}


def filled(text: str, services: Sequence[str] = SERVICES) -> str:
    """The text with every region written anew. Raises `KeyError` for a region that nobody writes."""

    def write(region: re.Match[str]) -> str:
        indent, name = region["indent"], region["name"]
        lines = [f"{indent}{line}" if line else "" for line in REGIONS[name](services).splitlines()]
        return "\n".join((f"{indent}# >>> {name}{region['note']}", *lines, f"{indent}# <<< {name}"))

    return _REGION.sub(write, text)


def main(folder: Path = Path()) -> None:
    """Write all regions."""
    for path in FILES:
        found = folder / path
        found.write_text(filled(found.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main()
