"""The frame: what it promises of every event, whatever the parser and the sender do."""

import hashlib
from collections.abc import Callable

import orjson
import pytest

from normalize.complete import without_receipt
from normalize.frame import Normalizer
from normalize.registry import Registry
from samlog.errors import BadEvent
from samlog.event import Event, event_id

One = Callable[..., Event]
Many = Callable[..., list[Event]]

LINE = "Jan 10 13:37:01 web1 sshd[811]: Failed password for root from 203.0.113.7 port 40112 ssh2"


def test_the_original_and_its_hash_are_always_there(one: One) -> None:
    event = one(LINE)
    assert event["event.original"] == LINE
    assert event["event.hash"] == hashlib.sha256(LINE.encode()).hexdigest()


def test_the_unit_and_its_defaults_are_in_every_event(one: One) -> None:
    event = one(LINE)
    assert event["samlog.unit"] == event["data_stream.namespace"] == "enheda"
    assert event["organization.id"] == "kommune-x"
    assert event["samlog.zone"] == "sikker"
    assert "samlog.environment" not in event


def test_a_header_says_more_than_the_defaults(one: One) -> None:
    event = one(LINE, {"zone": b"dmz", "environment": b"prod", "log_class": b"LC-01"})
    assert event["samlog.zone"] == "dmz"
    assert event["samlog.environment"] == "prod"
    assert event["samlog.log_class"] == "LC-01"


def test_a_unit_header_that_contradicts_the_topic_is_refused(one: One) -> None:
    assert one(LINE, {"unit": b"enheda"})
    with pytest.raises(BadEvent) as refused:
        one(LINE, {"unit": b"enhedb"})
    assert refused.value.reason == "wrong_unit"


def test_a_unit_that_writes_a_format_of_the_future_stops_nobody_else(one: One) -> None:
    assert one(LINE, {"samlog-v": b"1"})
    with pytest.raises(BadEvent, match="upgrade samlog") as refused:
        one(LINE, {"samlog-v": b"2"})
    assert refused.value.reason == "unknown_format"


@pytest.mark.parametrize(
    "forged",
    [
        {"samlog.unit": "enhedb", "event.id": "x", "data_stream.namespace": "enhedb"},
        {"samlog": {"unit": "enhedb"}, "event": {"id": "x"}, "data_stream": {"dataset": "y"}},
    ],
)
@pytest.mark.parametrize("path", ["aws_cloudtrail", "zeek", "json", "envelope"])
def test_an_event_cannot_say_what_only_samlog_may(
    one: One, forged: dict[str, object], path: str
) -> None:
    real = {
        "aws_cloudtrail": {"eventSource": "s", "eventName": "n", "eventTime": "t"},
        "zeek": {"_path": "dns", "ts": 1.0},
        "json": {"k": 1},
        "envelope": {"message": LINE},
    }[path]
    event = one(orjson.dumps({**real, **forged}))
    assert event["samlog.unit"] == "enheda"
    assert event["event.id"] != "x"
    assert event["data_stream.namespace"] == "enheda"
    assert event["data_stream.dataset"] == event["event.dataset"]


def test_reading_twice_gives_the_same_event_whenever_it_is_received(one: One) -> None:
    first = one(LINE, {"origin": b"file:1", "received": b"2026-01-10T15:00:00.000000001Z"})
    again = one(LINE, {"origin": b"file:1", "received": b"2026-01-10T16:30:00.5Z"})
    assert first["samlog.received"] != again["samlog.received"]
    assert without_receipt(first) == without_receipt(again)


def test_the_origin_is_the_header_before_all_else(one: One) -> None:
    event = one(LINE, {"origin": b"file:1", "collector": b"c", "seq": b"7"})
    assert event["event.id"] == event_id("enheda", "file:1", 0, event["event.hash"])


def test_the_origin_is_collector_stream_and_seq_before_the_position(one: One) -> None:
    event = one(LINE, {"collector": b"c", "seq": b"7"})
    expected = event_id("enheda", "c|collector|stream|7", 0, event["event.hash"])
    assert event["event.id"] == expected


def test_the_origin_of_a_bare_record_is_its_position(normalize: Many) -> None:
    first, second = normalize(LINE, offset=1), normalize(LINE, offset=2)
    assert first[0]["event.id"] != second[0]["event.id"]
    assert first[0]["event.id"] == normalize(LINE, offset=1)[0]["event.id"]


def test_cloudtrail_numbers_its_events_itself(normalize: Many) -> None:
    record = b'{"eventSource":"s","eventName":"n","eventTime":"2026-01-10T12:00:00Z","eventID":"e"}'
    assert normalize(record, offset=1)[0]["event.id"] == normalize(record, offset=2)[0]["event.id"]


def test_a_forged_origin_does_not_make_another_event_vanish(one: One) -> None:
    headers = {"origin": b"same"}
    assert one(LINE, headers)["event.id"] != one(LINE + "x", headers)["event.id"]


def test_an_array_gives_its_elements_each_with_its_own_original(normalize: Many) -> None:
    events = normalize(b'[ {"a":1} ,\n{"a" : 2}]')
    assert [event["event.original"] for event in events] == ['{"a":1}', '{"a" : 2}']
    assert len({event["event.id"] for event in events}) == 2


def test_what_stood_beside_a_batch_stays_with_each_event(normalize: Many) -> None:
    events = normalize(b'{"owner":"1234","Records":[{"a":1},{"a":2}]}')
    assert [event["samlog.json"]["envelope"] for event in events] == [{"owner": "1234"}] * 2


@pytest.mark.parametrize("value", [b"[1,2]", b"[]", b'{"Records":[]}', b'{"Records":[{},3]}'])
def test_what_is_no_batch_of_objects_is_one_event(one: One, value: bytes) -> None:
    assert one(value)["event.original"] == value.decode()


def test_broken_json_is_stored_as_text(one: One) -> None:
    event = one('{"a": 1, "b": ')
    assert event["message"] == '{"a": 1, "b": '
    assert {"invalid_json", "unparsed_body"} <= set(event["tags"])


def test_ten_thousand_levels_are_stored_as_text(one: One) -> None:
    text = '{"a":' * 10_000 + "1" + "}" * 10_000
    event = one(text)
    assert event["event.original"] == text
    assert "invalid_json" in event["tags"]


@pytest.mark.parametrize("time", ["1601-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "gestern"])
def test_an_impossible_time_is_kept_apart_and_the_receipt_taken(one: One, time: str) -> None:
    record = {"eventSource": "s", "eventName": "n", "eventTime": time}
    event = one(orjson.dumps(record))
    assert event["@timestamp"] == "2026-01-10T15:00:00.000Z"
    assert "time_invalid" in event["tags"]
    assert event["samlog.invalid.@timestamp"] == time


def test_an_event_without_a_time_has_that_of_its_receipt_and_says_so(one: One) -> None:
    event = one("intet klokkeslæt her")
    assert event["@timestamp"] == event["samlog.received"]
    assert "time_from_receipt" in event["tags"]


def test_a_number_as_a_string_is_made_a_number_and_a_bad_one_is_kept_apart(one: One) -> None:
    fine = {"eventSource": "s", "eventName": "n", "eventTime": "2026-01-10T12:00:00Z"}
    event = one(orjson.dumps(fine | {"sourceIPAddress": "ec2.amazonaws.com"}))
    assert event["source.address"] == "ec2.amazonaws.com"
    bad = one(b'{"_path":"http","ts":1768049739.0,"status_code":"ti","response_body_len":"77"}')
    assert bad["http.response.body.bytes"] == 77
    assert bad["samlog.invalid.http.response.status_code"] == "ti"
    assert "field_invalid" in bad["tags"]


def test_a_line_over_the_limit_is_cut_and_says_what_it_was(
    normalize: Many, registry: Registry
) -> None:
    small = Normalizer({"enheda": {}}, registry, max_event_bytes=100)
    text = "blå" * 100
    (event,) = normalize(text, normalizer=small)
    assert len(event["event.original"].encode()) <= 100
    assert text.startswith(event["event.original"])
    assert "truncated" in event["tags"]
    assert event["samlog.full_length"] == 400
    assert event["samlog.full_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_a_line_that_the_collector_cut_keeps_what_it_said_about_it(one: One) -> None:
    event = one(LINE, {"full-length": b"20000000", "full-sha256": b"ab" * 32})
    assert "truncated" in event["tags"]
    assert event["samlog.full_sha256"] == "ab" * 32


def test_the_zone_of_the_source_is_used_and_recorded(one: One) -> None:
    event = one(LINE, {"tz": b"Europe/Copenhagen"})
    assert event["@timestamp"] == "2026-01-10T12:37:01.000Z"
    assert event["event.timezone"] == "Europe/Copenhagen"


def test_an_unknown_zone_is_utc_and_tagged(one: One) -> None:
    event = one(LINE, {"tz": b"Mars/Olympus"})
    assert event["@timestamp"] == "2026-01-10T13:37:01.000Z"
    assert "tz_unknown" in event["tags"]


def test_a_hint_is_believed_where_its_parser_reads_the_line(one: One) -> None:
    line = '192.0.2.1 - - [10/Jan/2026:13:55:36 +0100] "GET / HTTP/1.1" 200 5 "-" "x"'
    assert one(line)["event.dataset"] == "nginx.access"
    assert one(line, {"source": b"apache_access"})["event.dataset"] == "apache.access"


def test_a_hint_that_does_not_fit_loses_nothing(one: One) -> None:
    assert one(LINE, {"source": b"nginx_access"})["event.dataset"] == "system.auth"


def test_without_hints_the_header_source_is_ignored(normalize: Many, registry: Registry) -> None:
    unhinted = Normalizer({}, registry, hints=False)
    line = '192.0.2.1 - - [10/Jan/2026:13:55:36 +0100] "GET / HTTP/1.1" 200 5 "-" "x"'
    (event,) = normalize(line, {"source": b"apache_access"}, normalizer=unhinted)
    assert event["event.dataset"] == "nginx.access"


def test_a_known_program_with_an_unknown_body_is_stored_and_tagged(one: One) -> None:
    event = one("Jan 10 13:37:01 web1 nginx: something new")
    assert event["message"] == "something new"
    assert event["event.dataset"] == "system.syslog"


def test_related_fields_hold_every_address_user_and_host(one: One) -> None:
    event = one(LINE)
    assert event["related.ip"] == ["203.0.113.7"]
    assert event["related.user"] == ["root"]
    assert event["related.hosts"] == ["web1"]


def test_addresses_that_are_none_do_not_become_related(one: One) -> None:
    event = one(b'{"_path":"files","ts":1768049742.0,"tx_hosts":["not an ip"],"fuid":"F"}')
    assert "related.ip" not in event


def test_the_raw_line_of_a_cisco_device_keeps_its_command(one: One) -> None:
    event = one(
        "172.16.5.10 6705: Feb 17 13:40:03.673: %PARSER-5-CFGLOG_LOGGEDCMD: User:admin  "
        "logged command:no dot1x system-auth-control"
    )
    assert event["event.dataset"] == "cisco_ios.log"
    assert "no dot1x system-auth-control" in event["message"]


def test_a_unit_without_configuration_is_normalised_all_the_same(normalize: Many) -> None:
    (event,) = normalize(LINE, unit="enhedb")
    assert event["samlog.unit"] == "enhedb"
    assert event["samlog.received"] == "2026-01-10T15:00:00.000Z"
