"""Keywords find what a sender wrote, also where every part of the line went into fields."""

from pathlib import Path

from detect.engine import Engine

RULE = """
title: Failed passwords by the words that sshd writes
id: 3f6c1f0e-6a0b-4a0e-9d5c-1f2e3d4c5b6a
logsource: {product: linux, service: sshd}
detection: {keywords: ['Failed password for invalid user'], condition: keywords}
"""
LINE = "Jan 10 13:37:01 web1 sshd[811]: Failed password for invalid user admin from 203.0.113.7"


def fired(tmp_path: Path, event: dict[str, object]) -> int:
    (tmp_path / "rule.yml").write_text(RULE)
    return len(Engine.load([tmp_path]).match(event))


def test_a_line_whose_parts_all_went_into_fields_is_searched_itself(tmp_path: Path) -> None:
    event = {"event.dataset": "system.auth", "process.name": "sshd", "event.original": LINE}

    assert fired(tmp_path, event) == 1


def test_the_json_that_an_event_came_in_is_not_searched(tmp_path: Path) -> None:
    packed = '{"line": "' + LINE + '"}'
    event = {"event.dataset": "system.auth", "process.name": "sshd", "event.original": packed}

    assert fired(tmp_path, event) == 0


def test_an_event_with_a_message_is_searched_there(tmp_path: Path) -> None:
    event = {
        "event.dataset": "system.auth",
        "process.name": "sshd",
        "event.original": LINE,
        "message": "something else",
    }

    assert fired(tmp_path, event) == 0
