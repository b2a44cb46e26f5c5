"""What the shell offers at TAB, in a real bash where one is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from libs.client import completion
from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal

HOSTILE = [
    "$(touch /tmp/x)",
    "a;reboot",
    "`id`",
    "a b",
    "=cmd",
    "-rf",
    "~",
    "a\nb",
    "a'b",
    'a"b',
    "a|b",
    "a>b",
    "*",
    "결제",
]
BIN = Path(sys.executable).parent


@pytest.fixture
def offered(gateway: FakeGateway, tool: Tool) -> FakeGateway:
    """A gateway with gates, users, sites and signals, some of them with names that a shell would obey."""
    gateway.on("GET /api/gates", Says([{"gate": "release"}, {"gate": "operations"}]))
    gateway.on("GET /api/users", Says([{"username": "ann"}, {"username": "bob"}]))
    gateway.on("GET /api/sites", Says([{"site": "global"}]))
    gateway.on("GET /api/roles", Says([{"role": "owner"}, {"role": "release-lead"}]))
    names = ["acme/payments-api", "acme/web", "Payments_API", "acme/web", *HOSTILE]
    gateway.on("GET /api/signals", Says({"items": [{"subject": name, "version": "2"} for name in names]}))
    return gateway


def test_names_of_the_server_are_offered(offered: FakeGateway) -> None:
    assert completion.gates("") == ["release", "operations"]
    assert completion.gates("op") == ["operations"]
    assert completion.users("b") == ["bob"]
    assert completion.sites("") == ["global"]
    assert (completion.roles("o"), completion.roles("re")) == (["operator", "owner"], ["release-lead"])
    assert completion.subjects("acme") == ["acme/payments-api", "acme/web"]
    assert completion.targets("P") == ["Payments_API@2"]


def test_nothing_is_offered_that_a_shell_would_obey(offered: FakeGateway) -> None:
    assert not set(completion.subjects("")) & set(HOSTILE)
    assert not set(completion.targets("")) & {f"{name}@2" for name in HOSTILE}


@pytest.mark.parametrize(
    "answer", [refusal(403, "No."), Says(b"<html>", 200), Says({"items": 7}), Says("text"), Says([1])]
)
def test_a_server_that_does_not_help_is_passed_over_in_silence(
    gateway: FakeGateway, tool: Tool, capfd: pytest.CaptureFixture[str], answer: Says
) -> None:
    for path in ("gates", "users", "sites", "signals"):
        gateway.on(f"GET /api/{path}", answer)
    for complete in (completion.gates, completion.users, completion.sites, completion.subjects, completion.targets):
        assert complete("") == []
    assert capfd.readouterr() == ("", "")


def test_offline_and_without_a_token_nothing_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HEADGATE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("HEADGATE_TOKEN", raising=False)
    assert completion.gates("") == []
    monkeypatch.setenv("HEADGATE_TOKEN", "hg_x")
    assert completion.gates("") == []
    monkeypatch.setenv("HEADGATE_URL", "nonsense")
    assert completion.gates("") == []


@pytest.mark.whole
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_after_install_completion(offered: FakeGateway, tmp_path: Path) -> None:
    environment = {
        "HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}", "HEADGATE_URL": offered.url,
        "HEADGATE_TOKEN": "hg_secret", "LANG": "C.UTF-8",
    }  # fmt: skip

    def bash(script: str) -> str:
        done = subprocess.run(
            ["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.stderr == "", done.stderr
        return done.stdout

    assert "completion installed" in bash("headgate --install-completion; true")
    script = tmp_path / ".bash_completions" / "headgate.sh"
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()

    def complete(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        found = bash(
            f"source '{script}'; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _headgate_completion headgate; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return found.split()

    assert {"gate", "items", "users"} <= set(complete("headgate", ""))
    assert complete("headgate", "gate", "ru") == ["run"]
    assert complete("headgate", "gate", "run", "re") == ["release"]
    assert "acme/web@2" in complete("headgate", "gate", "run", "release", "acme")
    assert complete("headgate", "report", "send", "junit", "x.xml", "--subject", "Pay") == ["Payments_API"]
    assert complete("headgate", "users", "create", "x", "--role", "ow") == ["owner"]
    offered.server.shutdown()
    assert complete("headgate", "gate", "run", "re") == []
