"""``headgate ci login``: where the identity token comes from, and where the token goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.client.conftest import Tool
from tests.unit.client.gateway import FakeGateway, Says, refusal

LOGIN = "POST /api/federation/token"
ISSUED = {
    "token_id": 7, "username": "account:ci", "label": "shop: repo", "fingerprint": "0" * 16, "sites": ["*"],
    "created_at": "2026-03-01T09:00:00Z", "expires_at": "2026-03-01T09:15:00Z", "rule": "shop", "token": "hg_t_secret",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No CI system around."""
    names = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "HEADGATE_IDENTITY_TOKEN", "GITHUB_ENV")
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def exchanging(gateway: FakeGateway) -> FakeGateway:
    """A gateway that gives a token."""
    gateway.on(LOGIN, Says(ISSUED))
    return gateway


def test_the_token_stands_alone_on_stdout(exchanging: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_IDENTITY_TOKEN", "a.b.c")
    ended = tool("ci", "login", "--rule", "shop")
    assert (ended.exit_code, ended.stdout) == (0, "hg_t_secret\n")
    assert "account:ci by the rule shop" in ended.stderr
    asked = exchanging.asked[0]
    assert asked.json == {"token": "a.b.c", "rule": "shop"}
    assert "authorization" not in asked.headers, "whatever token is at hand has nothing to do with it"


def test_github_is_asked_for_one_of_this_installation(
    exchanging: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exchanging.on("GET /github", Says({"value": "d.e.f"}))
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{exchanging.url}/github?api-version=2")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of the job")
    monkeypatch.setenv("GITHUB_ENV", str(tmp_path / "env"))
    ended = tool("ci", "login", "--github")
    assert (ended.exit_code, ended.stdout) == (0, "::add-mask::hg_t_secret\n")
    assert (tmp_path / "env").read_text() == "HEADGATE_TOKEN=hg_t_secret\n"
    github, login = exchanging.asked
    assert github.query == {"api-version": ["2"], "audience": [exchanging.url]}
    assert github.headers["authorization"] == "Bearer of the job"
    assert login.json == {"token": "d.e.f"}


def test_a_file_and_keeping_it_for_the_next_commands(exchanging: FakeGateway, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "identity").write_text("g.h.i\n")
    ended = tool("ci", "login", "--token-file", str(tmp_path / "identity"), "--keep")
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "hg_t_secret" in (tmp_path / "config" / "headgate" / "config.toml").read_text()
    assert exchanging.asked[0].json == {"token": "g.h.i"}


def test_what_is_missing_or_refused_is_said_in_a_sentence(
    gateway: FakeGateway, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = tool("ci", "login")
    assert (ended.exit_code, "id-token: write" in ended.stderr) == (2, True)
    monkeypatch.setenv("HEADGATE_IDENTITY_TOKEN", "a.b.c")
    gateway.on(LOGIN, refusal(401, "The rule shop does not fit: ref is 'x', wanted is refs/heads/main."))
    ended = tool("ci", "login")
    assert (ended.exit_code, "ref is 'x'" in ended.stderr) == (1, True)
    gateway.on(LOGIN, Says(ISSUED))
    ended = tool("ci", "login", "--github")
    assert (ended.exit_code, "GITHUB_ENV" in ended.stderr) == (2, True)
    monkeypatch.delenv("HEADGATE_IDENTITY_TOKEN")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{gateway.url}/nothing")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of the job")
    ended = tool("ci", "login")
    assert (ended.exit_code, "GitHub gave no identity token" in ended.stderr) == (2, True)
