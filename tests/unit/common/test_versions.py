"""Documents: what the declaration gives, how content is written down, and what differs between two."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from libs.common.contracts.base import Model
from libs.common.contracts.versions import Document, Publication
from libs.common.versions import canonical, differences, digest_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=3), inner, max_size=3),
    max_leaves=12,
)


class Menu(Model):
    """A document of these tests."""

    soups: int = 1
    salt_grams: float = 0
    names: tuple[str, ...] = ()


MENU = Document("tracker", "menu", content=Menu, default=Menu(), path="/api/menu", what="the menu")


def test_one_declaration_gives_every_operation() -> None:
    names = [one.name for one in MENU.declared()]
    verbs = ("show", "publish", "rollback", "versions", "version", "diff", "published")
    assert names == [f"tracker.menu.{verb}" for verb in verbs]
    assert MENU.publish.http is not None
    assert (MENU.publish.http.method, MENU.publish.http.path) == ("PUT", "/api/menu")
    assert {MENU.show.permission, MENU.diff.permission} == {"policy:read"}
    assert {MENU.publish.permission, MENU.rollback.permission} == {"policy:write"}


def test_content_that_would_swallow_a_typo_is_refused() -> None:
    class Loose(BaseModel):
        soups: int = 1

    with pytest.raises(ValueError, match="refuse unknown keys"):
        Document("tracker", "loose", content=Loose, default=Loose(), path="/api/loose", what="it")  # type: ignore[type-var]
    with pytest.raises(ValidationError, match="soup\n"):
        Publication[Menu].model_validate({"content": {"soup": 2}, "reason": "more"})


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "a\u202eb", "x" * 501])
def test_a_reason_is_a_line_that_can_be_read(reason: str) -> None:
    with pytest.raises(ValidationError):
        Publication[Menu].model_validate({"content": {}, "reason": reason})


def test_canonical_content_has_sorted_keys_and_keeps_zeros() -> None:
    text = canonical(Menu.model_validate({"soups": 0, "names": ["b", "a"]}))
    assert text == '{"names":["b","a"],"salt_grams":0.0,"soups":0}'
    assert digest_of(text) == hashlib.sha256(text.encode()).hexdigest()


def shown(before: Any, after: Any) -> list[tuple[Any, ...]]:
    return [(one.path, one.kind, one.before, one.after) for one in differences(before, after)]


def test_differences_name_their_place() -> None:
    before = {"a": [1, {"x/y": True}], "b": 1, "c": None}
    after = {"a": [1, {"x/y": False}, 3], "b": True, "d": {}}
    assert shown(before, after) == [
        ("/a/1/x~1y", "changed", True, False),
        ("/a/2", "added", None, 3),
        ("/b", "changed", 1, True),
        ("/c", "removed", None, None),
        ("/d", "added", None, {}),
    ]


def _patched(value: Any, changes: list[tuple[Any, ...]]) -> Any:
    """What the differences make of the value they were taken from."""
    # What is removed from a list stood at its end, from where it goes; what is added comes there in order.
    removed = [one for one in reversed(changes) if one[1] == "removed"]
    for path, kind, _, after in [*removed, *(one for one in changes if one[1] != "removed")]:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]
        if not way:
            return after
        holder = value
        for part in way[1:]:
            holder = holder[int(part) if isinstance(holder, list) else part]
        place: Any = int(last) if isinstance(holder, list) else last
        if kind == "removed":
            del holder[place]
        elif isinstance(holder, list) and kind == "added":
            holder.insert(place, after)
        else:
            holder[place] = after
    return value


@given(JSON, JSON)
def test_differences_lead_from_one_to_the_other(before: Any, after: Any) -> None:
    changes = shown(before, after)
    assert shown(before, before) == []
    assert shown(_patched(before, changes), after) == []
