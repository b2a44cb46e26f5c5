"""What a password must be, how long who guesses waits, lists of lost passwords, and hashes."""

from __future__ import annotations

import hashlib
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.passwords import BUCKETS, LONGEST_S, WAITS_S, bucket, normal, weakness
from services.gateway.passwords import hashing
from services.gateway.passwords.breached import BreachedList
from services.gateway.passwords.hashing import NOBODYS, fits, hash_of


def sha1(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


@given(st.text(max_size=300))
def test_the_one_form_stays_and_is_all_that_is_judged(text: str) -> None:
    once = normal(text)
    assert normal(once) == once
    assert normal(unicodedata.normalize("NFD", text)) == once
    why = weakness(once, "mia")
    assert why is None or why.endswith(".")
    if not 15 <= len(once) <= 256:
        assert why is not None


KOREAN = "\ubcf8\uc778\uc740 \ub124 \ub2e8\uc5b4\ub97c \uc4f4\ub2e4 \uc774\ub807\uac8c"


@pytest.mark.parametrize("password", ["four words make one", KOREAN, "aaaaaaaaaaabcde"])
def test_no_kind_of_character_is_asked_for(password: str) -> None:
    assert weakness(normal(password), "mia") is None


def test_who_guesses_waits_ever_longer_and_never_for_ever() -> None:
    for waits in WAITS_S.values():
        assert all(before <= after for before, after in pairwise(waits))
        assert (waits[0], waits[-1]) == (0.0, LONGEST_S)
    assert {WAITS_S[kind] for kind in ("name", "browser", "own")} == {WAITS_S["name"]}, "as the statement has it"
    a_day = 5 + len(WAITS_S["name"]) + 24 * 3600 / LONGEST_S
    assert a_day < 150, "guesses at one name in a day"


@given(st.text())
def test_all_that_is_counted_fits_the_table(text: str) -> None:
    assert 0 <= bucket(text) < BUCKETS


def test_a_hash_fits_its_password_and_nobodys_takes_as_long() -> None:
    phc = hash_of("four words make one")
    assert fits("four words make one", phc)
    assert not fits("four words make two", phc)
    assert phc != hash_of("four words make one"), "each has a salt of its own"
    assert phc.split("$")[1:4] == NOBODYS.split("$")[1:4] == [
        "argon2id", "v=19", f"m={hashing.MEMORY_KIB},t={hashing.ITERATIONS},p={hashing.LANES}"
    ]  # fmt: skip
    assert [len(part) for part in phc.split("$")] == [len(part) for part in NOBODYS.split("$")]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    return tmp_path_factory


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=40, unique=True), st.data())
def test_a_sorted_list_is_searched_wholly(
    folders: pytest.TempPathFactory, lost: list[str], data: st.DataObject
) -> None:
    path = folders.mktemp("lost") / "list"
    end, newline = data.draw(st.sampled_from([":1", ":123456", ""])), data.draw(st.sampled_from(["\n", "\r\n"]))
    lines = [one + end for one in sorted(map(sha1, lost))]
    path.write_bytes(newline.join(lines).encode() + data.draw(st.sampled_from([b"", newline.encode()])))
    found = BreachedList(path)
    assert all(found.holds(one) for one in lost)
    other = data.draw(st.text(max_size=10).filter(lambda text: text not in lost))
    assert not found.holds(other)


def test_a_folder_of_ranges_is_read_and_what_is_not_there_is_not_listed(tmp_path: Path) -> None:
    one, two = sha1("password"), sha1("letmein")
    (tmp_path / one[:5]).write_text(f"{'0' * 35}:1\r\n{one[5:]}:12\r\n")
    (tmp_path / f"{two[:5]}.txt").write_text(f"{two[5:].lower()}:3\n")
    found = BreachedList(tmp_path)
    assert [found.holds(one) for one in ("password", "letmein", "neither")] == [True, True, False]
    assert not BreachedList(None).holds("password")
    empty = tmp_path / "empty"
    empty.touch()
    assert not BreachedList(empty).holds("password")
    with pytest.raises(OSError, match="No such file"):
        BreachedList(tmp_path / "gone")
