"""The profile: who may read it, which token goes where, and files that can't be used."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from libs.client.config import Profile, Target, config_path, forget, load, remember, resolve, save
from libs.client.errors import UsageProblem

HERE, THERE = "http://127.0.0.1:8080", "https://gate.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "headgate" / "config.toml"


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path), **more}


def test_a_profile_is_kept_for_this_user_only(path: Path) -> None:
    remember(path, HERE, "hg_one")
    remember(path, THERE, 'hg_"two"\\')
    assert load(path) == Profile(THERE, {HERE: "hg_one", THERE: 'hg_"two"\\'})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["config.toml"]


def test_a_token_is_forgotten(path: Path) -> None:
    remember(path, HERE, "hg_one")
    assert forget(path, HERE)
    assert not forget(path, HERE)
    assert load(path).tokens == {}


def test_a_token_goes_only_to_the_address_that_it_was_given_for(tmp_path: Path, path: Path) -> None:
    remember(path, HERE, "hg_one")
    assert resolve(None, environ(tmp_path)) == Target(HERE, "hg_one")
    assert resolve(HERE + "/", environ(tmp_path)) == Target(HERE, "hg_one")
    assert resolve(THERE, environ(tmp_path)) == Target(THERE, None)
    assert resolve(None, environ(tmp_path, HEADGATE_URL=THERE)) == Target(THERE, None)


def test_the_environment_beats_the_file(tmp_path: Path, path: Path) -> None:
    remember(path, HERE, "hg_one")
    assert resolve(None, environ(tmp_path, HEADGATE_TOKEN=" hg_env\n")) == Target(HERE, "hg_env")
    both = environ(tmp_path, HEADGATE_TOKEN="hg_env", HEADGATE_URL=THERE)
    assert resolve(None, both) == Target(THERE, "hg_env")
    assert resolve(HERE, both) == Target(HERE, "hg_env")


def test_without_anything_this_machine_is_asked(tmp_path: Path) -> None:
    assert resolve(None, environ(tmp_path)) == Target(HERE, None)


def test_a_token_does_not_show_in_a_printed_profile() -> None:
    assert "hg_" not in repr(Profile(HERE, {HERE: "hg_one"}))
    assert "hg_" not in repr(Target(HERE, "hg_one"))


@pytest.mark.parametrize("text", ["url = ", "url = 5", "tokens = 1", "[tokens]\na = 5", "\xff"])
def test_a_file_that_is_no_profile_says_so(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageProblem, match="log in again"):
        load(path)


def test_a_folder_in_the_way(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(UsageProblem, match="can't be read"):
        load(path)
    with pytest.raises(UsageProblem, match="can't be written"):
        save(path, Profile(HERE))


def test_a_relative_config_home_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path({"XDG_CONFIG_HOME": "relative"}) == tmp_path / ".config/headgate/config.toml"
