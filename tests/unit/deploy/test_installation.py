"""Secrets that are made once, what each container gets of them, and logs that stay small."""

import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from deploy.container import files, healthcheck
from deploy.container.steps import load_environment, write_secrets
from deploy.embedded import free_ports
from deploy.installation import InstallationError, keeper_token, kept_secret, nats_users
from deploy.local.options import Options
from deploy.local.process import BoundedLog, bound_log
from libs.common.admin import passwords
from libs.common.contracts import SERVICES
from libs.common.settings import Settings
from libs.common.topology import Topology

SECRET = "a-cluster-secret-for-tests-only"
FILES_VOLUME = "${HEADGATE_FILES:-files}:/etc/headgate:ro"


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_secret_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    made = kept_secret(path)
    assert len(made) == 43
    assert (_mode(path), _mode(path.parent)) == (0o600, 0o700)
    assert kept_secret(path) == made
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "short", "nineteen-characters"])
def test_a_secret_that_is_too_short_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InstallationError, match="must hold at least 20 characters"):
        kept_secret(path)


def test_every_user_has_a_password_of_its_own() -> None:
    users = nats_users(SECRET, Topology())
    assert [user.name for user in users] == ["admin", *SERVICES]
    known = [user.password for user in users] + list(passwords(SECRET, "postgres").values())
    assert len(set(known)) == len(known)
    assert not any(SECRET in password for password in known)
    assert not any(">" in user.publish_allow or ">" in user.subscribe_allow for user in users[1:])


def test_a_container_gets_only_its_own_credentials(tmp_path: Path) -> None:
    write_secrets(tmp_path, None, "headgate")
    files = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(_mode(path) == 0o600 for path in files.values())
    secret = files[Path("admin/cluster-secret")].read_text().strip()
    known = passwords(secret, "postgres")
    for service in SERVICES:
        text = files[Path(service, "environment")].read_text()
        assert known[service] in text
        assert secret not in text
        assert not any(password in text for other, password in known.items() if other != service)
    before = {name: path.read_text() for name, path in files.items()}
    write_secrets(tmp_path, None, "headgate")
    assert {name: (tmp_path / name).read_text() for name in before} == before


def test_a_given_secret_is_used_and_checked(tmp_path: Path) -> None:
    write_secrets(tmp_path, SECRET, "headgate")
    assert SECRET in (tmp_path / "admin" / "environment").read_text()
    assert not (tmp_path / "admin" / "cluster-secret").exists()
    with pytest.raises(InstallationError, match="HEADGATE_CLUSTER_SECRET must hold at least 20"):
        write_secrets(tmp_path, "short", "headgate")


def test_empty_settings_count_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("HEADGATE_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("HEADGATE_NAMESPACE", "")
    monkeypatch.setenv("HEADGATE_NATS_URL", "")
    monkeypatch.setenv("HEADGATE_DATABASE_URL", "postgresql://given")
    file = tmp_path / "environment"
    file.write_text("HEADGATE_NATS_URL=nats://a:b=c@nats:4222\nHEADGATE_DATABASE_URL=postgresql://other\n")
    load_environment(file)
    assert "HEADGATE_NAMESPACE" not in os.environ
    assert os.environ["HEADGATE_NATS_URL"] == "nats://a:b=c@nats:4222"
    assert os.environ["HEADGATE_DATABASE_URL"] == "postgresql://given"


def test_a_private_stack_does_not_hear_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_ADMIN_DATABASE_URL", "postgresql://elsewhere")
    monkeypatch.setenv("HEADGATE_NAMESPACE", "elsewhere")
    token = "hg_" + "t" * 43
    options = Options.private(tmp_path, 0, {"HEADGATE_BOOTSTRAP_TOKEN": token, "HEADGATE_POOL_SIZE": "4"})
    tracker = options.service_environment("tracker", "postgresql://own", "nats://own", None)
    gateway = options.service_environment("gateway", "postgresql://own", "nats://own", None)
    assert options.admin_database_url is None
    assert tracker["HEADGATE_NAMESPACE"] == "headgate"
    assert (tracker["HEADGATE_POOL_SIZE"], tracker["HEADGATE_DATABASE_URL"]) == ("4", "postgresql://own")
    assert "HEADGATE_ADMIN_DATABASE_URL" not in tracker
    assert "HEADGATE_BOOTSTRAP_TOKEN" not in tracker
    assert gateway["HEADGATE_BOOTSTRAP_TOKEN"] == token


def test_logs_stay_small(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "logs" / "tracker.log", limit_bytes=1000)
    for number in range(100):
        log.write(f"{number} " + "x" * 50)
    log.close()
    files = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in files] == ["tracker.log", "tracker.log.1"]
    assert all(path.stat().st_size < 1100 and _mode(path) == 0o600 for path in files)
    assert files[0].read_text().splitlines()[-1].startswith("99 ")
    bound_log(files[0], limit_bytes=10)
    assert files[0].read_text() == ""
    assert files[1].read_text().splitlines()[-1].startswith("99 ")


def test_the_health_check_knows_every_service(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    base = free_ports(len(SERVICES))
    monkeypatch.setenv("HEADGATE_HTTP_PORT", str(base))
    for service in SERVICES:
        monkeypatch.setenv("HEADGATE_SERVICE", service)
        assert healthcheck.main() == 1
        with HTTPServer(("127.0.0.1", base + SERVICES.index(service)), Ready) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            assert healthcheck.main() == 0
            thread.join()


def test_what_compose_and_prometheus_know_of_the_services_is_what_make_docs_writes() -> None:
    top = Path(__file__).parents[3]
    for path in files.FILES:
        text = (top / path).read_text(encoding="utf-8")
        assert files.filled(text) == text, f"{path}: run `make docs` and commit"
        assert text.count("# >>> ") == text.count("# <<< ") > 0


def test_every_setting_can_be_said_in_compose_or_is_made_there() -> None:
    text = (Path(__file__).parents[3] / "deploy" / "compose.yml").read_text(encoding="utf-8")
    fields = set(Settings.model_fields)
    assert fields | {"cluster_secret"} >= files.MADE_HERE | files.BY_HAND
    unsayable = {name for name in fields if f"${{HEADGATE_{name.upper()}:-}}" not in text}
    assert unsayable == files.MADE_HERE & fields
    volumes = {name: one.get("volumes", []) for name, one in yaml.safe_load(text)["services"].items()}
    assert [name for name in (*SERVICES, "admin", "keeper") if FILES_VOLUME not in volumes[name]] == []
    assert [name for name in SERVICES if "/tmp" not in volumes[name]] == [], "scratch files are no memory"


def test_a_further_service_stands_in_every_region() -> None:
    top = Path(__file__).parents[3]
    more = (*SERVICES, "registrar")
    compose, prometheus, rules, chart = (
        yaml.safe_load(files.filled((top / path).read_text(), more)) for path in files.FILES
    )
    assert compose["services"]["registrar"]["expose"] == [str(8080 + len(SERVICES))]
    assert compose["services"]["registrar"]["environment"]["HEADGATE_SERVICE"] == "registrar"
    assert "secrets-registrar" in compose["volumes"]
    assert "secrets-registrar:/secrets/registrar" in compose["services"]["secrets"]["volumes"]
    labels = [one["labels"]["service"] for one in prometheus["scrape_configs"][0]["static_configs"]]
    assert labels == list(more)
    assert list(chart["services"]) == list(more)
    missing = next(one for one in rules["groups"][0]["rules"] if one.get("alert") == "HeadgateServiceMissing")
    assert re.findall(r'absent\(up\{job="headgate", service="(\w+)"\}\)', missing["expr"]) == list(more)


def test_the_keeper_of_the_containers_finds_what_it_needs_and_the_gateway_knows_only_a_hash(tmp_path: Path) -> None:
    write_secrets(tmp_path, SECRET, "headgate")
    keeper = dict(line.split("=", 1) for line in (tmp_path / "admin" / "environment").read_text().splitlines())
    gateway = (tmp_path / "gateway" / "environment").read_text()
    digest = hashlib.sha256(keeper_token(SECRET).encode()).hexdigest()
    assert f"HEADGATE_KEEPER_TOKEN_SHA256={digest}" in gateway
    assert keeper_token(SECRET) not in gateway
    bus = (tmp_path / "rehearsal" / "nats.conf").read_text()
    user, _, place = keeper["HEADGATE_REHEARSAL_NATS_URL"].removeprefix("nats://").partition("@")
    assert user.partition(":")[2] in bus
    assert place == "nats-rehearsal:4223"
    compose = yaml.safe_load((Path(__file__).parents[3] / "deploy" / "compose.yml").read_text())["services"]
    assert "8223" in " ".join(compose["nats-rehearsal"]["healthcheck"]["test"])
    assert compose["keeper"]["command"] == ["dr", "work"]
    assert compose["keeper"]["restart"] == "unless-stopped"
