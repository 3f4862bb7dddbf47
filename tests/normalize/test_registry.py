"""Parsers are found by scanning; two of a name are refused; choosing has no memory."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from normalize import registry as module
from normalize.parser import Parser
from normalize.registry import Registry, load_parsers
from samlog.errors import ConfigError
from samlog.event import RawEvent

NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)


def parser(name: str, **more: Any) -> Any:
    made = {
        "NAME": name,
        "VERSION": 1,
        "HINTS": frozenset(),
        "PROGRAMS": frozenset(),
        "LOGSOURCES": (),
        "LOG_CLASSES": (),
        "matches": lambda raw: False,
        "parse": lambda raw: {},
    }
    return SimpleNamespace(**(made | more))


def raw(body: str, **more: Any) -> RawEvent:
    return RawEvent("enheda", body.encode(), body, NOW, body=body, **more)


def test_every_shipped_parser_meets_the_protocol() -> None:
    found = load_parsers()
    assert {"sshd", "zeek", "windows", "text"} <= {one.NAME for one in found}
    assert all(isinstance(one, Parser) for one in found)


def test_two_parsers_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two parsers are called 'a'"):
        Registry([parser("a"), parser("a")])


def test_an_installed_package_adds_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SimpleNamespace(load=lambda: parser("fagsystem"))
    monkeypatch.setattr(module, "entry_points", lambda group: [entry])
    assert "fagsystem" in Registry().parsers


def test_a_parser_without_the_whole_interface_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SimpleNamespace(load=lambda: SimpleNamespace(NAME="halv"))
    monkeypatch.setattr(module, "entry_points", lambda group: [entry])
    with pytest.raises(ConfigError, match="lacks VERSION"):
        Registry()


def test_the_hint_comes_before_program_and_content() -> None:
    by_hint = parser("a", HINTS=frozenset({"h"}), matches=lambda raw: True)
    by_program = parser("b", PROGRAMS=frozenset({"p"}))
    chosen = Registry([by_program, by_hint]).choose(raw("x", source="h", program="p"))
    assert chosen.NAME == "a"


def test_the_program_comes_before_content() -> None:
    by_content = parser("a", matches=lambda raw: True)
    by_program = parser("b", PROGRAMS=frozenset({"p"}))
    assert Registry([by_content, by_program]).choose(raw("x", program="/bin/P")).NAME == "b"


def test_of_two_that_match_the_lower_order_is_taken() -> None:
    late = parser("a", matches=lambda raw: True, ORDER=60)
    soon = parser("b", matches=lambda raw: True, ORDER=40)
    assert Registry([late, soon]).choose(raw("x")).NAME == "b"


def test_what_nobody_knows_goes_to_the_generic_parsers() -> None:
    registry = Registry()
    assert registry.choose(raw("x")).NAME == "text"
    assert registry.choose(raw("x", program="nobody")).NAME == "syslog"
    assert registry.choose(raw("{}", json={"a": 1})).NAME == "json"


def test_a_parser_of_text_is_not_asked_about_json() -> None:
    lines = parser("lines", CONTENT="text", matches=lambda raw: True)
    registry = Registry([lines, *(parser(name) for name in ("json", "syslog", "text"))])
    assert registry.choose(raw("{}", json={})).NAME == "json"
    assert registry.choose(raw("a")).NAME == "lines"


def test_a_parser_of_json_is_not_asked_about_text() -> None:
    objects = parser("objects", CONTENT="json", matches=lambda raw: True)
    registry = Registry([objects, *(parser(name) for name in ("json", "syslog", "text"))])
    assert registry.choose(raw("{}", json={})).NAME == "objects"
    assert registry.choose(raw("a")).NAME == "text"


def test_a_parser_that_names_no_content_is_asked_about_both() -> None:
    registry = Registry([parser("any", matches=lambda raw: True)])
    assert registry.choose(raw("{}", json={})).NAME == registry.choose(raw("a")).NAME == "any"


def test_a_parser_with_keys_is_asked_only_about_objects_that_have_one_of_them() -> None:
    choosy = parser("choosy", matches=lambda raw: True, KEYS=frozenset(("a", "b")))
    chosen = Registry([choosy, parser("json")])
    assert chosen.choose(raw("", json={"x": 1, "b": 2})).NAME == "choosy"
    assert chosen.choose(raw("", json={"x": 1})).NAME == "json"
    assert chosen.choose(raw("", json={})).NAME == "json"


def test_objects_of_endless_names_are_not_remembered() -> None:
    chosen = Registry([parser("choosy", KEYS=frozenset("a")), parser("json")])
    for number in range(5_000):
        chosen.choose(raw("", json={f"n{number}": 1, "x" * 9_000: 1}))
        chosen.choose(raw("", json={f"n{number}": 1}))
    assert len(chosen._about) <= 2_048
