"""What an event states to have changed: the member ``changes`` of its data, which the audit log shows as it stands.

Every event that tells of an update of something that was there before has it; `tests/contract/test_changes.py` looks at
all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from libs.common.contracts.base import Open


class FieldChange(Open):
    """One field that changed. A ``masked`` one is personal or secret: that it changed is told, its values are not."""

    field: str
    before: Any = None
    after: Any = None
    masked: bool = False


class Changed(Open):
    """Data of an event that tells of an update. ``changes``: from what to what; empty where nothing is another now."""

    changes: list[FieldChange] = []


C = TypeVar("C", bound=Changed)


def stated(before: Mapping[str, Any], after: Mapping[str, Any], masked: Collection[str] = ()) -> list[FieldChange]:
    """The fields of ``after`` that have another value than before, in its order; ``masked`` ones without values."""
    return [
        FieldChange(field=name, masked=True)
        if name in masked
        else FieldChange(field=name, before=before.get(name), after=value)
        for name, value in after.items()
        if before.get(name) != value
    ]


def newly(now: Any, *names: str) -> list[FieldChange]:
    """What these fields of a model or a row hold now, where a guard of the UPDATE saw that they were empty before."""
    values = now if isinstance(now, Mapping) else now.model_dump(include=set(names))
    return stated({}, {name: values[name] for name in names})


def told_of(
    event: type[C],
    now: BaseModel,
    before: Any,
    *,
    masked: Collection[str] = (),
    unstated: Collection[str] = (),
) -> C:
    """The data of an event about something that is ``now`` so, with what changed since ``before``.

    ``before`` is a mapping, or the row that was there. Only what it holds is compared: leave out of it what nobody asks
    about, or name it in ``unstated`` (who changed it and when is said by the event itself). ``masked`` ones are told
    without values.
    """
    held, after = dict(before), now.model_dump(exclude={"changes"})
    compared = {name: value for name, value in after.items() if name in held and name not in unstated}
    return event(**after, changes=stated(held, compared, masked))
