"""What the Helm chart (helm/headgate) knows of each service, written from the contracts and settings: `make docs`.

A template can't import Python, so it reads this file: ports, settings that a service reads, the queues that tell how
far it is behind, and whom it speaks to, of which its NetworkPolicy is made.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import SecretStr

from deploy.container.files import BY_HAND, FIRST_PORT, MADE_HERE, OWN
from libs.common.roster import SERVICES, place
from libs.common.settings import Settings
from libs.common.topology import Topology, durables

CHART = Path(__file__).parent / "helm" / "headgate"
KNOWN = CHART / "files" / "known.yaml"
PROMETHEUS = Path(__file__).parent / "prometheus"
RULES = ("rules.yml", "slo-rules.yml")
HEAD = """\
# Written by `make docs` from the contracts and settings (deploy/chart.py); the templates read it.
# `reaches` is all that a service opens connections to. Services never speak to each other but on the bus, where the
# rights of each (users.conf of the Secret for NATS) follow from the same contracts.
"""

# What everybody reaches, and who speaks to what lies outside. tests/unit/deploy/test_chart.py holds it against imports.
INSIDE = ("database", "bus", "telemetry")
OUTWARD = {
    "gateway": ("world", "counters"),  # providers by whom people sign in; the store of rate limits
    "governance": ("prometheus",),
    "audit": ("world",),  # witnesses and time stamps
    "notifier": ("world", "mail"),
}
# As compose.yml tells the gateway by hand.
GATEWAY = ("HEADGATE_PUBLIC_URL", "HEADGATE_AUDIT_PUBLIC", "HEADGATE_SIGN_IN_SECRETS", "HEADGATE_VAULT_KEY_FILE")
# What the chart says by values of its own.
MADE_BY_CHART = {"namespace", "tls_cert_file", "tls_key_file", "backup_schedule", "nats_replicas"}
BUCKET = ("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
BUCKET_SECRETS = BUCKET[2:]


def _name(field: str) -> str:
    return f"HEADGATE_{field.upper()}"


def _secret(field: str) -> bool:
    annotation = Settings.model_fields[field].annotation
    return annotation is SecretStr or SecretStr in get_args(annotation)


def known() -> dict[str, Any]:
    """The content of the file."""
    own = {**OWN, "gateway": GATEWAY}
    told = {name.removeprefix("HEADGATE_").lower() for names in own.values() for name in names}
    left = MADE_HERE | BY_HAND | MADE_BY_CHART | told
    queues: dict[str, list[dict[str, str]]] = {service: [] for service in SERVICES}
    for stream, config in durables(Topology()):
        consumer = config.durable_name or ""
        if not consumer.endswith("-ticks"):  # ticks come by the clock: more replicas would not do them sooner
            queues[consumer.partition("-")[0]].append({"stream": stream, "consumer": consumer})
    return {
        "settings": [_name(field) for field in Settings.model_fields if field not in left],
        "secretSettings": [
            *(_name(field) for field in Settings.model_fields if _secret(field) or field == "sign_in_secrets"),
            *BUCKET_SECRETS,
        ],
        "services": {
            service: {
                "port": FIRST_PORT + place(service),
                "settings": list(own.get(service, ())),
                "reaches": [*INSIDE, *OUTWARD.get(service, ())],
                "queues": queues[service],
            }
            for service in SERVICES
        },
        "keeper": {
            "settings": [_name(field) for field in Settings.model_fields if field.startswith("backup_keep")]
            + ["HEADGATE_BACKUP_DIR", "HEADGATE_BACKUP_KEY_FILE", *BUCKET],
            "reaches": ["database", "bus", "gateway", "bucket"],
        },
        "admin": {"reaches": ["database", "bus"]},
    }


def text() -> str:
    """The file."""
    return HEAD + yaml.safe_dump(known(), sort_keys=False, width=120)


def main() -> None:
    """Write it, and the rules for Prometheus as they are: a chart is packed without what lies outside its folder."""
    KNOWN.parent.mkdir(parents=True, exist_ok=True)
    KNOWN.write_text(text(), encoding="utf-8")
    for name in RULES:
        shutil.copyfile(PROMETHEUS / name, KNOWN.parent / name)
    sys.stdout.write(f"{KNOWN.relative_to(Path.cwd())}\n")


if __name__ == "__main__":
    main()
