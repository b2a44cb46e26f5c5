"""``kubernetes-secrets``: the Secrets that the Helm chart refers to, one for each consumer, on standard output.

All of them follow from the cluster secret, so the same command writes them anew after an upgrade (rights on the bus
follow from the contracts, and change with them) and adds those of new services. Nothing here speaks to a cluster.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import yaml

from deploy.container.environments import Places, environments
from deploy.container.steps import EVERYWHERE, REHEARSAL_PORTS
from deploy.installation import (
    InstallationError,
    callout,
    checked_secret,
    nats_users,
    rehearsal_bus,
    rehearsal_user,
    users_config,
)
from libs.common.admin import derived_password
from libs.common.topology import Topology

SUPERUSER = "postgres"
# By argument, or setting: what it may be, and how that is said.
_FORMS = {
    "--prefix": (re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?"), "lower-case letters, digits and dashes"),
    "--database": (re.compile(r"[\w.-]+:\d+/\w+"), "host:port/database"),
    "--nats": (re.compile(r"[\w.-]+:\d+(,[\w.-]+:\d+)*"), "host:port, several with commas"),
    "--nats-monitor": (re.compile(r"https?://[\w.:/-]+"), "an address that begins with http:// or https://"),
    "HEADGATE_NAMESPACE": (re.compile(r"[a-z0-9]{1,20}"), "up to 20 lower-case letters and digits"),
}
REHEARSAL_PLACE = f"127.0.0.1:{REHEARSAL_PORTS[0]}"  # a container beside the keeper, in the same pod


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubernetes-secrets",
        description="Secrets for the Helm chart, all of which follow from HEADGATE_CLUSTER_SECRET. "
        "HEADGATE_ADMIN_DATABASE_URL names a PostgreSQL of your own; else the chart's own cluster is meant.",
    )
    parser.add_argument(
        "--prefix", default="headgate", help="what their names begin with (secrets.prefix of the chart)"
    )
    parser.add_argument(
        "--database", default="headgate-postgres-rw:5432/headgate", help="of the chart's own PostgreSQL"
    )
    parser.add_argument("--nats", default="nats:4222", help="host and port; several with commas")
    parser.add_argument("--nats-monitor", default="http://nats:8222", help="the address of its monitoring page")
    parser.add_argument("--new", action="store_true", help="make a new cluster secret, for a new installation")
    parser.add_argument("--json", action="store_true", help="names and contents, for a secret store, instead of YAML")
    return parser


def write_kubernetes_secrets(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Print them. Raises `InstallationError` for a secret or an address that is none; exit code 2 for an argument."""
    chosen = _parser().parse_args(arguments)
    secret = _cluster_secret(environment.get("HEADGATE_CLUSTER_SECRET"), new=chosen.new)
    database_url = environment.get("HEADGATE_ADMIN_DATABASE_URL")
    if database_url and not (urlsplit(database_url).scheme.startswith("postgres") and urlsplit(database_url).hostname):
        raise InstallationError("HEADGATE_ADMIN_DATABASE_URL must be postgresql://user:password@host:5432/database")
    namespace = environment.get("HEADGATE_NAMESPACE") or "headgate"
    values = (chosen.prefix, chosen.database, chosen.nats, chosen.nats_monitor, namespace)
    for (name, (form, words)), value in zip(_FORMS.items(), values, strict=True):
        if not form.fullmatch(value):
            raise InstallationError(f"{name} must be {words}, not {value[:80]!r}")
    contents = kubernetes_secrets(
        secret,
        namespace,
        Places(chosen.nats, chosen.nats_monitor, REHEARSAL_PLACE),
        database_url=database_url,
        own_database=chosen.database,
    )
    named = {f"{chosen.prefix}-{consumer}": texts for consumer, texts in contents.items()}
    if chosen.json:
        sys.stdout.write(json.dumps(named, indent=2) + "\n")
    else:
        sys.stdout.write(yaml.safe_dump_all((_manifest(name, texts) for name, texts in named.items()), sort_keys=False))
    if chosen.new:
        sys.stderr.write(
            f"A new cluster secret was made; it stands in {chosen.prefix}-admin. Give it as HEADGATE_CLUSTER_SECRET "
            "when you write these anew, and keep a copy apart: backups hold no secrets.\n"
        )


def _cluster_secret(given: str | None, *, new: bool) -> str:
    """The one that was given; another one only if that was said, since it locks all out that run by the old one."""
    if new and given:
        raise InstallationError("--new makes another cluster secret than HEADGATE_CLUSTER_SECRET: say one of them")
    if new:
        return secrets.token_urlsafe(32)
    if not given:
        raise InstallationError(
            "HEADGATE_CLUSTER_SECRET is not set: give the one of your installation, on which all passwords rest, "
            "or say --new for an installation that is new"
        )
    return checked_secret(given, "HEADGATE_CLUSTER_SECRET")


def kubernetes_secrets(
    secret: str, namespace: str, places: Places, *, database_url: str | None, own_database: str
) -> dict[str, dict[str, str]]:
    """By consumer, the keys of its Secret. Without a database's URL also the superuser of the chart's own cluster."""
    password = derived_password(secret, "postgres", SUPERUSER)
    url = database_url or f"postgresql://{SUPERUSER}:{password}@{own_database}"
    owner = f"hg_{derived_password(secret, 'token', 'owner')}"
    texts: dict[str, dict[str, str]] = {}
    for consumer, values in environments(secret, url, places).items():
        more = {"HEADGATE_BOOTSTRAP_TOKEN": owner} if consumer == "gateway" else {}
        lines = "".join(f"{key}={value}\n" for key, value in (values | more).items())
        texts[consumer] = {"environment": lines}
    port, monitor_port = REHEARSAL_PORTS
    texts["rehearsal"] = {
        "nats.conf": rehearsal_bus(
            rehearsal_user(derived_password(secret, "nats", "rehearsal")),
            port=port,
            monitor_port=monitor_port,
            store_dir="/data",
            host=EVERYWHERE,
        )
    }
    texts["nats"] = {"users.conf": users_config(nats_users(secret, Topology(namespace)), callout(secret))}
    texts["owner"] = {"token": owner}
    if database_url is None:
        texts["postgres"] = {"username": SUPERUSER, "password": password}
    return texts


def _manifest(name: str, texts: Mapping[str, str]) -> dict[str, object]:
    kind = "kubernetes.io/basic-auth" if set(texts) == {"username", "password"} else "Opaque"
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "headgate"}},
        "type": kind,
        "stringData": dict(texts),
    }
