"""The head of a line: its latest verdict, and the baseline that its next run is compared with."""

from __future__ import annotations

from collections.abc import Mapping


def store_head(at: Mapping[str, str]) -> str:
    """The step of the statement that stores a run which notes it at its line; ``at`` has the places of the values.

    A GO becomes the baseline, with two exceptions. One that rests on a waiver or an override does not: what was waived
    would be known from then on, also when the waiver is over. Nor does one of a version that was heard of before the
    baseline's was, or never: whoever judges an old version again must not move the baseline back.
    """
    key = f"{at['gate']}, {at['site']}, {at['subject']}, {at['line']}"
    of_subject = f"versions_seen WHERE site = {at['site']} AND subject = {at['subject']}"
    heard = f"SELECT first_at FROM {of_subject} AND version ="  # noqa: S608 - places such as $3
    return f"""
head AS (
    INSERT INTO gate_lines (gate, site, subject, line, version, decision, last_go_run_id, baseline_version)
    SELECT {key}, {at["version"]}, {at["decision"]}, CASE WHEN is_sound THEN {at["run_id"]}::bigint END,
        CASE WHEN is_sound THEN {at["version"]} END
    FROM (
        SELECT {at["decision"]} = 'go' AND NOT {at["rules"]}::jsonb @> '[{{"status": "waived"}}]'
            AND {at["override"]}::jsonb IS NULL AS is_sound
    ) AS made
    ON CONFLICT (gate, site, subject, line) DO UPDATE SET version = EXCLUDED.version, decision = EXCLUDED.decision,
        (last_go_run_id, baseline_version) = (
            SELECT CASE WHEN moves THEN EXCLUDED.last_go_run_id ELSE gate_lines.last_go_run_id END,
                CASE WHEN moves THEN EXCLUDED.baseline_version ELSE gate_lines.baseline_version END
            FROM (SELECT EXCLUDED.last_go_run_id IS NOT NULL AND (
                coalesce(gate_lines.baseline_version = EXCLUDED.version, true)
                OR ({heard} gate_lines.baseline_version) IS NULL
                OR ({heard} EXCLUDED.version) >= ({heard} gate_lines.baseline_version)
            ) AS moves) AS asked
        )
)"""  # noqa: S608 - names of columns and places such as $3
