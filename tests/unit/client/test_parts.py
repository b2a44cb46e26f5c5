"""Parts that the tool makes of file names."""

from __future__ import annotations

from libs.client.commands.signals import _parts


def test_long_names_with_one_beginning_stay_two_parts() -> None:
    names = [f"out/TEST-{'very.long.' * 9}{end}.xml" for end in ("First", "Second")]
    parts = _parts("junit", names)
    assert len(set(parts.values())) == 2
    assert all(len(part) == 80 for part in parts.values())
    assert parts[names[0]] == _parts("junit", names[:1])[names[0]]
    assert _parts("junit", ["out/unit.xml"]) == {"out/unit.xml": "unit"}
