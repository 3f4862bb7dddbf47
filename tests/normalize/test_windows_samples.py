"""Own samples beside their expected documents: every shipper, æøå in names, UTF-8 and cp1252."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from normalize.parsers import windows
from samlog.event import Event, RawEvent

SAMPLES = Path(__file__).parents[2] / "normalize/samples/windows"
RECEIVED = datetime(2026, 3, 3, tzinfo=UTC)


def raw_event(data: bytes) -> RawEvent:
    try:
        text, encoding = data.decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = data.decode("cp1252"), "cp1252"
    try:
        obj = orjson.loads(data)
    except orjson.JSONDecodeError:
        obj = None
    return RawEvent(
        "enheda", data, text, RECEIVED, json=obj if isinstance(obj, dict) else None,
        body=text, encoding=encoding,
    )  # fmt: skip


def parse(data: bytes) -> Event:
    raw = raw_event(data)
    assert windows.matches(raw)
    event = windows.parse(raw)
    assert raw.tags == []
    return event


def samples() -> Iterator[Path]:
    for path in sorted(SAMPLES.iterdir()):
        if not path.name.endswith(".expected.json"):
            yield path


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_a_sample_gives_its_expected_document(path: Path) -> None:
    expected = orjson.loads((SAMPLES / f"{path.stem}.expected.json").read_bytes())
    assert parse(path.read_bytes()) == expected


def test_the_same_event_in_cp1252_and_in_utf_8_gives_the_same_fields() -> None:
    data = (SAMPLES / "cp1252_logon_failed.xml").read_bytes()
    again = data.decode("cp1252").encode()
    assert again != data
    assert parse(again) == parse(data)


def test_a_rendered_text_adds_words_and_changes_no_field_of_the_event() -> None:
    plain = parse((SAMPLES / "cp1252_logon_failed.xml").read_bytes())
    rendered = parse((SAMPLES / "wef_rendered_logon_failed.xml").read_bytes())
    differing = {name for name in plain if plain[name] != rendered.get(name)}
    assert differing == {
        "samlog.origin",
        "winlog.keywords",
        "winlog.level",
        "winlog.record_id",
    }
    assert rendered["log.level"] == plain["log.level"]
