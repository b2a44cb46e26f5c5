"""What compose.yml and prometheus.yml say of each service, written from the list of services: `make docs`.

A region lies between ``# >>> name`` and ``# <<< name``; all around it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from libs.common.roster import SERVICES

FIRST_PORT = 8080  # inside the containers; compose.yml sets it
FILES = (Path("deploy/compose.yml"), Path("deploy/prometheus/prometheus.yml"))
_REGION = re.compile(r"^(?P<indent> *)# >>> (?P<name>[a-z]+)(?P<note>.*)\n(?:.*\n)*?^ *# <<< (?P=name)$", re.MULTILINE)

# The gateway's container is written by hand: it is published, and keeps the first owner's token.
SERVICE = """\
{name}:
  <<: *service
  environment: {{<<: *environment, HEADGATE_SERVICE: {name}{own}}}
  expose: ["{port}"]
  volumes: ["secrets-{name}:/run/headgate:ro"]
  healthcheck: *health
"""

# What no other service is told.
OWN = {
    "governance": ("HEADGATE_PROMETHEUS_URL",),
    "audit": ("HEADGATE_AUDIT_ORIGIN",),
    "notifier": (
        "HEADGATE_PUBLIC_URL",
        "HEADGATE_PAGERDUTY_URL",
        *(f"HEADGATE_SMTP_{name}" for name in ("HOST", "PORT", "SECURITY", "USER", "PASSWORD", "FROM")),
    ),
}


def _ports(services: Sequence[str]) -> list[tuple[str, int]]:
    return [(name, FIRST_PORT + above) for above, name in enumerate(services)]


def _blocks(services: Sequence[str]) -> str:
    return "\n".join(
        SERVICE.format(name=name, port=port, own="".join(f", {one}: '${{{one}:-}}'" for one in OWN.get(name, ())))
        for name, port in _ports(services)
        if name != "gateway"
    )


REGIONS: dict[str, Callable[[Sequence[str]], str]] = {
    "secrets": lambda services: "".join(f"- secrets-{name}:/secrets/{name}\n" for name in services),
    "services": _blocks,
    "volumes": lambda services: "".join(f"secrets-{name}:\n" for name in services),
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
