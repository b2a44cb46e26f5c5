"""The Secrets of the Helm chart: each consumer gets its own, and the same again from the same cluster secret."""

import json
import re
from pathlib import Path

import pytest
import yaml

from deploy.chart import CHART
from deploy.container.kubernetes import write_kubernetes_secrets
from deploy.container.steps import load_environment, replicas_of
from deploy.installation import InstallationError
from libs.common.admin import derived_password, passwords
from libs.common.contracts import SERVICES
from libs.judge.token_text import could_be_token

SECRET = "a-cluster-secret-for-tests-only"
CLUSTER = {"HEADGATE_CLUSTER_SECRET": SECRET}
OWN = CLUSTER | {"HEADGATE_ADMIN_DATABASE_URL": "postgresql://admin:pw@db.example:5432/hg?sslmode=verify-full"}


def _written(capsys: pytest.CaptureFixture[str], *arguments: str, given: dict[str, str]) -> dict[str, dict[str, str]]:
    write_kubernetes_secrets(arguments, given)
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {(one["apiVersion"], one["kind"]) for one in found} == {("v1", "Secret")}
    return {one["metadata"]["name"]: one["stringData"] for one in found}


def test_each_service_gets_its_own_passwords_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    made = _written(capsys, given=CLUSTER)
    known = {**passwords(SECRET, "postgres"), "x": derived_password(SECRET, "postgres", "postgres")}
    for service in SERVICES:
        text = made[f"headgate-{service}"]["environment"]
        assert known[service] in text
        assert SECRET not in text
        assert not any(password in text for other, password in known.items() if other != service)
    assert SECRET in made["headgate-admin"]["environment"]
    assert SECRET not in str({name: texts for name, texts in made.items() if name != "headgate-admin"})
    assert _written(capsys, given=CLUSTER) == made, "the same secret gives the same"


def test_the_first_owners_token_is_one_and_the_gateway_alone_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    made = _written(capsys, given=CLUSTER)
    token = made["headgate-owner"]["token"]
    assert could_be_token(token)
    knows = {name for name, texts in made.items() if token in str(texts)}
    assert knows == {"headgate-owner", "headgate-gateway"}


def test_a_database_of_ones_own_needs_no_superuser(capsys: pytest.CaptureFixture[str]) -> None:
    made = _written(capsys, "--prefix", "prod", given=OWN)
    assert "prod-postgres" not in made
    assert "@db.example:5432/hg?sslmode=verify-full\n" in made["prod-tracker"]["environment"]
    assert "pw" not in made["prod-tracker"]["environment"].split("HEADGATE_DATABASE_URL=")[1].split("@")[0]
    ours = _written(capsys, given=CLUSTER)
    assert ours["headgate-postgres"] == {
        "username": "postgres",
        "password": derived_password(SECRET, "postgres", "postgres"),
    }


def test_nats_is_told_who_may_do_what(capsys: pytest.CaptureFixture[str]) -> None:
    users = _written(capsys, given=CLUSTER)["headgate-nats"]["users.conf"]
    assert re.findall(r'user: "([a-z-]+)"', users) == ["admin", *SERVICES, "gateway-system"]
    assert "listen" not in users


def test_all_that_the_templates_mount_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    write_kubernetes_secrets(["--json"], CLUSTER)
    made = set(json.loads(capsys.readouterr().out))
    text = (CHART / "templates" / "secrets.yaml").read_text()
    consumers = re.findall(r'"(\w+)"', re.search(r"concat \(list ([^)]*)\)", text)[1])  # type: ignore[index]
    assert {f"headgate-{name}" for name in (*consumers, "postgres", "owner", *SERVICES)} == made
    mounted = "\n".join(path.read_text() for path in (CHART / "templates").glob("*.yaml"))
    named = set(re.findall(r'include "headgate.prefix" \$?(?:at\.root|\.root)? ?}}-(\w+)', mounted))
    assert named <= {name.removeprefix("headgate-") for name in made}


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        ([], {"HEADGATE_CLUSTER_SECRET": "short"}, "must hold at least 20"),
        ([], {}, "HEADGATE_CLUSTER_SECRET is not set"),
        ([], {"HEADGATE_CLUSTER_SECRET": ""}, "or say --new"),
        (["--new"], CLUSTER, "say one of them"),
        ([], CLUSTER | {"HEADGATE_ADMIN_DATABASE_URL": "db.example"}, "must be postgresql://"),
        ([], CLUSTER | {"HEADGATE_NAMESPACE": "a.>"}, "HEADGATE_NAMESPACE must be up to 20"),
        (["--prefix", "../x"], CLUSTER, "--prefix must be lower-case"),
        (["--database", "db"], CLUSTER, "--database must be host:port/database"),
        (["--nats", ""], CLUSTER, "--nats must be host:port"),
        (["--nats", "user:pw@nats:4222"], CLUSTER, "--nats must be host:port"),
        (["--nats-monitor", "nats:8222"], CLUSTER, "--nats-monitor must be an address"),
    ],
)
def test_what_is_no_secret_or_address_is_refused(
    arguments: list[str], given: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InstallationError, match=said):
        write_kubernetes_secrets(arguments, given)
    assert capsys.readouterr().out == "", "what kubectl reads changes nothing"


def test_a_new_cluster_secret_is_made_only_if_that_is_said_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    write_kubernetes_secrets(["--new"], {})
    made = capsys.readouterr()
    assert "HEADGATE_CLUSTER_SECRET" in made.err
    assert "HEADGATE_CLUSTER_SECRET=" in made.out


def test_secret_settings_may_lie_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADGATE_SMTP_PASSWORD", "HEADGATE_NATS_URL", "AWS_ACCESS_KEY_ID", "PATHS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADGATE_SMTP_USER", "given")
    for name, text in {"SMTP_PASSWORD": "secret\n", "SMTP_USER": "other", "NATS_URL": "nats://file"}.items():
        (tmp_path / f"HEADGATE_{name}").write_text(text)
    (tmp_path / "AWS_ACCESS_KEY_ID").write_text("key")
    (tmp_path / "PATHS").write_text("no setting")
    (tmp_path / "..data").mkdir()
    own = tmp_path / "environment"
    own.write_text("HEADGATE_NATS_URL=nats://own\n")
    with monkeypatch.context() as patch:
        environment: dict[str, str] = {"HEADGATE_SMTP_USER": "given", "HEADGATE_LOG_LEVEL": ""}
        patch.setattr("deploy.container.steps.os.environ", environment)
        load_environment(own, tmp_path)
    assert environment == {
        "HEADGATE_SMTP_USER": "given",
        "HEADGATE_SMTP_PASSWORD": "secret",
        "HEADGATE_NATS_URL": "nats://file",
        "AWS_ACCESS_KEY_ID": "key",
    }


@pytest.mark.parametrize("given", ["0", "6", "three", "-1", " 3"])
def test_a_number_of_replicas_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(InstallationError, match="from 1 to 5"):
        replicas_of(given)
    assert (replicas_of("3"), replicas_of(None), replicas_of("")) == (3, None, None)
