"""What single events mean in ECS, and the conversions of single values."""

import pytest

from normalize.windows.sddl import describe
from normalize.windows.times import utc_ms, zone_between
from normalize.windows.values import (
    MAX_ARGS,
    file_path,
    hashes,
    integer,
    ip,
    port,
    registry_data,
    registry_path,
    split_args,
)
from samlog.event import Event


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("cmd.exe /c dir", ["cmd.exe", "/c", "dir"]),
        ('"C:\\Min mappe\\å.exe" -x', ["C:\\Min mappe\\å.exe", "-x"]),
        (r'a "b \"c\" d" e', ["a", 'b "c" d', "e"]),
        (r'a\\\\"b c" d', [r"a\\b c", "d"]),
        (r"a\\b\ c", [r"a\\b\ "[:-1], "c"]),
        ('a "" b', ["a", "", "b"]),
        ('a "b""c" d', ["a", 'b"c', "d"]),
        ("a\tb\nc", ["a", "b\nc"]),
        ('"unclosed arg', ["unclosed arg"]),
        ("", []),
    ],
)
def test_a_command_line_is_split_as_windows_splits_it(line: str, args: list[str]) -> None:
    assert split_args(line) == args


def test_a_command_line_has_a_bounded_number_of_arguments() -> None:
    assert len(split_args("a " * 5000)) == MAX_ARGS
    assert len(split_args('"a" ' * 5000)) == MAX_ARGS
    assert len(split_args('"a""b" ' * 4000)) == MAX_ARGS


def test_a_text_longer_than_windows_takes_is_no_command_line() -> None:
    assert split_args("a " * 20_000) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("0x1fc", 508), ("508", 508), ("-1", None), ("x", None), ("9" * 30, None), ("", None)],
)
def test_numbers_are_decimal_or_hexadecimal(text: str, number: int | None) -> None:
    assert integer(text) == number


def test_ports_and_addresses_that_are_none_are_left_out() -> None:
    assert port("65536") is None
    assert ip("-") is None
    assert ip("::ffff:192.0.2.1") == "192.0.2.1"
    assert ip("fe80::1%12") == "fe80::1"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-02 10:00:00.123", "2026-03-02T10:00:00.123Z"),
        ("2026-03-02T10:00:00.1239999Z", "2026-03-02T10:00:00.123Z"),
        ("2026-03-02T10:00:00.12Z", "2026-03-02T10:00:00.120Z"),
        ("2026-03-02T10:00:00.123456789Z", "2026-03-02T10:00:00.123Z"),
        ("2026-03-02T11:00:00.5+01:00", "2026-03-02T10:00:00.500Z"),
        ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00.000Z"),
        ("1601-01-01T00:00:00.000Z", "1601-01-01T00:00:00.000Z"),
        ("0001-01-01T00:00:00+14:00", ""),
        ("2026-13-02T10:00:00.123Z", ""),
        ("9999-99-99 99:99:99.999", ""),
        ("i går", ""),
        ("", ""),
    ],
)
def test_times_become_utc_with_milliseconds(text: str, instant: str) -> None:
    assert utc_ms(text) == instant


def test_clocks_that_differ_by_no_zone_tell_no_zone() -> None:
    assert zone_between("2026-03-02 10:00:00", "2026-03-02T09:00:01Z") is not None
    assert zone_between("2026-03-02 10:05:00", "2026-03-02T09:00:00Z") is None
    assert zone_between("2026-03-05 10:00:00", "2026-03-02T09:00:00Z") is None


def test_a_registry_path_is_split_into_hive_key_and_value() -> None:
    out: Event = {}
    registry_path(out, "HKLM\\SOFTWARE\\Kødby\\Navn", with_value=True)
    assert out == {
        "registry.path": "HKLM\\SOFTWARE\\Kødby\\Navn",
        "registry.hive": "HKLM",
        "registry.key": "SOFTWARE\\Kødby",
        "registry.value": "Navn",
    }


@pytest.mark.parametrize(
    ("details", "kind", "strings"),
    [
        ("DWORD (0x00000004)", "REG_DWORD", ["4"]),
        ("QWORD (0x00000001-0x00000002)", "REG_QWORD", ["4294967298"]),
        ("Binary Data", "REG_BINARY", None),
        ("%SystemRoot%\\å.dll", "REG_SZ", ["%SystemRoot%\\å.dll"]),
        ("DWORD (nej)", "REG_DWORD", ["DWORD (nej)"]),
    ],
)
def test_registry_data_has_its_type(details: str, kind: str, strings: list[str] | None) -> None:
    out: Event = {}
    registry_data(out, details)
    assert out["registry.data.type"] == kind
    assert out.get("registry.data.strings") == strings


def test_a_hash_of_zeros_is_none() -> None:
    out: Event = {}
    hashes("file.hash", "file.pe")(out, "MD5=AB,IMPHASH=00000000000000000000000000000000,X=1")
    assert out == {"file.hash.md5": "ab"}


def test_a_path_has_directory_name_and_extension() -> None:
    out: Event = {}
    file_path()(out, "C:\\Brugere\\Åse\\rejse.tar.gz")
    assert out["file.directory"] == "C:\\Brugere\\Åse"
    assert (out["file.name"], out["file.extension"]) == ("rejse.tar.gz", "gz")


def test_a_security_descriptor_is_described_by_entry() -> None:
    words = dict(describe("O:SYG:SYD:PAI(A;;GA;;;SY)(D;;RCWD;;;S-1-5-21-1)S:(AU;SA;SD;;;WD)"))
    assert words == {
        "Dacl0": "Local system :Access Allowed ([Generic All])",
        "Dacl1": "S-1-5-21-1 :Access Denied ([Read Permissions, Modify Permissions])",
        "Sacl0": "Everyone :System Audit ([Delete])",
    }


@pytest.mark.parametrize(
    "descriptor", ["", "D:", "S:D:", "D:(", "D:(A;;GA)", "(((", "D:" + "(" * 99]
)
def test_a_broken_descriptor_gives_what_it_has(descriptor: str) -> None:
    assert len(dict(describe(descriptor))) <= 16
