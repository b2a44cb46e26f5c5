"""What the containers run (see compose.yml): ``secrets`` once, then ``admin`` once, then ``run`` in each service.

``backup …`` and ``dr …`` are what they are behind ``headgate`` elsewhere. ``secrets`` runs as root with one volume for
each consumer below /secrets; every container gets only its own volume, at /run/headgate. So no service holds a password
of another, and nothing secret stands in the compose file or the image. ``kubernetes-secrets`` prints the same for the
Helm chart (helm/headgate).
"""

from __future__ import annotations

import os
import sys

from deploy.container.kubernetes import write_kubernetes_secrets
from deploy.container.steps import OWN, SECRETS, load_environment, run_admin, write_secrets
from deploy.installation import InstallationError
from libs.common.admin import AdminError
from libs.common.contracts import SERVICES


def main(arguments: list[str]) -> None:
    """Do what the container was started for; exit code 1 and one sentence if it can't."""
    command = arguments[0] if arguments else "run"
    load_environment(OWN)
    try:
        if command == "secrets":
            write_secrets(
                SECRETS, os.environ.get("HEADGATE_CLUSTER_SECRET"), os.environ.get("HEADGATE_NAMESPACE", "headgate")
            )
        elif command == "admin":
            run_admin(narrow="--narrow" in arguments[1:])
        elif command == "kubernetes-secrets":
            write_kubernetes_secrets(arguments[1:], os.environ)
        elif command in ("backup", "dr"):
            # With the admin container's own addresses: docker compose run --rm admin backup create
            os.execv(sys.executable, [sys.executable, "-m", "deploy.backup", *arguments[1:]])  # noqa: S606  no shell
        elif command == "run" and (service := os.environ.get("HEADGATE_SERVICE")) in SERVICES:
            # Replaces this process, so that SIGTERM reaches the service itself.
            os.execv(sys.executable, [sys.executable, "-m", f"services.{service}"])  # noqa: S606  no shell
        else:
            names = ", ".join(SERVICES)
            raise InstallationError(
                f"say secrets, kubernetes-secrets, admin, backup, dr, or run with HEADGATE_SERVICE as one of {names}"
            )
    except (InstallationError, AdminError) as error:
        sys.exit(f"headgate {command}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
