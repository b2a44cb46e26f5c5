"""Conditions: only a true BOOL passes. The engine's errors are truthy texts, so each way to fail open is tried."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from cel_expr_python import cel  # type: ignore[import-untyped]

from libs.judge.cel import BadExpression, Outcome, compile_condition, read_outcome

VARIABLES = {"fact": "map", "parts": "list_of_maps", "n": "int"}


def judge(expression: str, **fact: Any) -> Outcome:
    return compile_condition(expression, VARIABLES).evaluate({"fact": fact, "parts": [{"x": 1}], "n": 1})


def test_true_passes_and_false_does_not() -> None:
    assert judge("fact.a == 1 && parts.all(p, p.x == 1) && n == 1", a=1) == Outcome(True)
    assert judge("fact.a == 1", a=2) == Outcome(False, "")


@pytest.mark.parametrize(
    ("expression", "fact", "words"),
    [
        ("fact.missing == 0", {}, "Key not found"),
        ("1 / fact.zero == 1", {"zero": 0}, "divide by zero"),
        ("fact.text > 1", {"text": "many"}, "No matching overloads"),
        ("fact.flag", {"flag": "true"}, "gave STRING instead of true or false"),
        ("fact.flag", {"flag": 1}, "gave INT instead"),
        ("fact.flag", {"flag": None}, "gave NULL instead"),
        ("fact.flag", {"flag": ["x"]}, "gave LIST"),
        ("fact.flag", {"flag": {"a": True}}, "gave MAP"),
        ("fact.flag", {"flag": 1.0}, "gave DOUBLE instead"),
        ("fact.big == 1", {"big": 2**70}, "out of range"),
        ("fact.odd == 1", {"odd": object()}, "Non-CEL value"),
        ("fact.odd == 1", {"odd": "\ud800"}, "null is not valid"),
        ("!fact.missing", {}, "Key not found"),
        ("fact.missing != true", {}, "Key not found"),
    ],
)
def test_whatever_is_not_a_bool_fails_with_its_reason(expression: str, fact: dict[str, Any], words: str) -> None:
    outcome = judge(expression, **fact)
    assert outcome.passed is False
    assert words in outcome.reason


def test_a_text_is_not_equal_to_true() -> None:
    assert judge("fact.flag == true", flag="true") == Outcome(False, "")


def test_missing_variables_fail() -> None:
    outcome = compile_condition("n == 1", VARIABLES).evaluate({})
    assert (outcome.passed, "No value with name" in outcome.reason) == (False, True)


@pytest.mark.parametrize(
    ("value_type", "value"),
    [
        (cel.Type.ERROR, "NOT_FOUND: gone"),
        (cel.Type.UNKNOWN, "UNKNOWN: not yet"),
        (cel.Type.STRING, "true"),
        (cel.Type.INT, 1),
        (cel.Type.BOOL, "true"),
        (cel.Type.BOOL, 1),
        (cel.Type.DYN, True),
    ],
)
def test_only_bool_and_true_pass(value_type: cel.Type, value: object) -> None:
    outcome = read_outcome(value_type, value)
    assert outcome.passed is False
    assert outcome.reason


@pytest.mark.parametrize(
    ("expression", "line", "column", "words"),
    [
        ("facst == 1", 1, 1, "undeclared reference to 'facst'"),
        ("fact.a == 1\n  && facst", 2, 6, "undeclared reference to 'facst'"),
        ("fact.a ==", 1, 10, "Syntax error"),
        ("1 + 1", 1, 1, "gives INT, not BOOL"),
        ("'true'", 1, 1, "gives STRING, not BOOL"),
        ("'a' == 1", 1, 5, "no matching overload"),
        ("  ", 1, 1, "is empty"),
        ("true" + " " * 5_000, 1, 1, "longer than 4000"),
        ("true\x00", 1, 1, "NUL"),
        ("(" * 900 + "true" + ")" * 900, 0, 0, "recursion limit"),
    ],
)
def test_bad_expressions_name_the_place(expression: str, line: int, column: int, words: str) -> None:
    with pytest.raises(BadExpression) as raised:
        compile_condition(expression, VARIABLES)
    assert words in raised.value.message
    assert (raised.value.line, raised.value.column) == (line, column)
    assert "INVALID_ARGUMENT" not in raised.value.message


def test_threads_share_one_condition() -> None:
    condition = compile_condition("fact.a == 1", VARIABLES)
    wrong: list[int] = []

    def work(number: int) -> None:
        outcomes = [condition.evaluate({"fact": {"a": number}, "parts": [], "n": 0}) for _ in range(500)]
        wrong.extend(number for outcome in outcomes if outcome.passed is not (number == 1))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
