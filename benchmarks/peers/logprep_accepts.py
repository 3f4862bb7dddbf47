"""Run by the Python that has Logprep: which of the translated rules it loads as they were meant.

    python logprep_accepts.py < rules.ndjson > answers.ndjson

A line in: ``{"id": .., "content": {rule file}, "leaves": [[field, kind, value] ..]}``. A line out:
``{"id": .., "why": "" or the reason, "terms": conjunctions}``. A rule counts as misread where
the comparisons of the filter that Logprep has parsed are not those that were written.
"""

import json
import sys
from typing import Any

from logprep.filter.expression.filter_expression import (
    Exists,
    FilterExpression,
    KeyValueBasedFilterExpression,
    Null,
    RangeBasedFilterExpression,
    RegExFilterExpression,
)
from logprep.framework.rule_tree.rule_parser import RuleParser
from logprep.processor.pre_detector.rule import PreDetectorRule


def read(expression: FilterExpression) -> list[tuple[str, str, str]]:
    """Returns the comparisons in a parsed filter."""
    if expression.children:
        return [leaf for child in expression.children for leaf in read(child)]
    key = expression.key_as_dotted_string
    if isinstance(expression, RegExFilterExpression):
        return [(key, "regex", expression._regex)]
    if isinstance(expression, KeyValueBasedFilterExpression):
        return [(key, "text", str(expression._expected_value))]
    kinds = ((Exists, "exists"), (Null, "null"), (RangeBasedFilterExpression, "range"))
    return [(key, next(name for kind, name in kinds if isinstance(expression, kind)), "")]


def meant(leaves: list[list[str]]) -> list[tuple[str, str, str]]:
    """Returns the comparisons that were written, as `read` would tell them."""
    found = []
    for field, kind, value in leaves:
        if kind == "regex":
            value = RegExFilterExpression._normalize_regex(value)
        found.append((field, kind, value if kind in ("text", "regex") else ""))
    return found


def answer(line: dict[str, Any]) -> dict[str, Any]:
    try:
        rule = PreDetectorRule.create_from_dict(line["content"], "detect")
        if sorted(read(rule.filter)) != sorted(meant(line["leaves"])):
            return {"id": line["id"], "why": "misread", "terms": 0}
        terms = RuleParser({}).parse_rule(rule, {})
    except Exception as error:  # noqa: BLE001 - whatever it is, Logprep leaves the rule out
        return {
            "id": line["id"],
            "why": type(error).__name__,
            "terms": 0,
            "detail": str(error)[:300],
        }
    return {"id": line["id"], "why": "", "terms": len(terms)}


for each in sys.stdin:
    print(json.dumps(answer(json.loads(each))))
