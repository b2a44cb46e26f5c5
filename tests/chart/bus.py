"""The official chart of NATS with our values (`helm pull nats/nats --untar`): does a server take what comes of it?"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

from deploy.container.environments import Places
from deploy.container.kubernetes import kubernetes_secrets
from deploy.embedded.nats import nats_server_program
from tests.chart import judges
from tests.chart.judges import CHART

SECRET = "a-cluster-secret-for-tests-only"
USERS = "headgate-nats"


def judge(chart: Path, folder: Path) -> list[str]:
    """What is wrong with its configuration, in the folders that its pods see."""
    made = judges.render(yaml.safe_load((CHART / "nats-values.yaml").read_text()), chart)
    if made.refused:
        return [f"NATS: not rendered: {made.refused}"]
    problems = [f"NATS: {one}" for one in judges.validate(made.resources, folder)[0]]
    (pods,) = (one["spec"]["template"]["spec"] for one in made.resources if one["kind"] == "StatefulSet")
    (config,) = (one["data"]["nats.conf"] for one in made.resources if "nats.conf" in one.get("data", {}))
    mounts = {mount["name"]: mount["mountPath"] for mount in pods["containers"][0]["volumeMounts"]}
    (users,) = (one["name"] for one in pods["volumes"] if one.get("secret", {}).get("secretName") == USERS)
    root = folder / "nats"
    for name, text in {
        f"{mounts['config']}/nats.conf": config,
        f"{mounts[users]}/users.conf": kubernetes_secrets(
            SECRET, "headgate", Places("nats:4222", "", ""), database_url=None, own_database="db"
        )["nats"]["users.conf"],
    }.items():
        path = root / name.removeprefix("/")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    command = [str(nats_server_program()), "-t", "-c", str(root / f"{mounts['config']}/nats.conf".removeprefix("/"))]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"SERVER_NAME": "nats-0"}
    )
    return [*problems, f"NATS: {done.stderr.strip()[-500:]}"] if done.returncode else problems
