"""What each kind of Sigma test means, and the pitfalls that other engines fell into."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

Fires = Callable[..., bool]


def sel(**fields: Any) -> dict[str, Any]:
    """Returns detections with one selection; ``Field__contains`` stands for ``Field|contains``."""
    return {"selection": {name.replace("__", "|"): value for name, value in fields.items()}}


# Case


@pytest.mark.parametrize(
    ("needle", "value"),
    [
        ("PowerShell", "POWERSHELL"),
        ("straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("ΟΔΟΣ", "οδος"),
        ("οδοσ", "ΟΔΟΣ"),
        ("kelvin", "\u212aelvin"),
        ("ＣＭＤ", "ｃｍｄ"),
        ("İstanbul", "i̇stanbul"),
        ("ærø", "ÆRØ"),
    ],
)
def test_strings_are_compared_without_case_in_every_alphabet(
    fires: Fires, needle: str, value: str
) -> None:
    assert fires(sel(F=needle), {"F": value})
    assert fires(sel(F__contains=needle), {"F": f"x{value}x"})


def test_a_final_sigma_inside_a_word_is_still_found(fires: Fires) -> None:
    assert fires(sel(F__contains="ΟΔΟΣ"), {"F": "οδοσα"})


def test_cased_strings_keep_their_case(fires: Fires) -> None:
    assert fires(sel(F__contains__cased="Cmd"), {"F": "a Cmd b"})
    assert not fires(sel(F__contains__cased="Cmd"), {"F": "a cmd b"})
    assert not fires(sel(F__cased="Cmd"), {"F": "cmd"})
    assert not fires(sel(F__startswith__cased="C*d"), {"F": "cmd"})


# Wildcards and escaping


def test_a_star_crosses_newlines(fires: Fires) -> None:
    assert fires(sel(F="begin*end"), {"F": "begin\r\nmiddle\nend"})
    assert fires(sel(F__contains="a*b"), {"F": "xa\n\nbx"})


def test_a_question_mark_is_exactly_one_character(fires: Fires) -> None:
    assert fires(sel(F="a?c"), {"F": "abc"})
    assert fires(sel(F="a?c"), {"F": "a\nc"})
    assert not fires(sel(F="a?c"), {"F": "ac"})
    assert not fires(sel(F="a?c"), {"F": "abbc"})


def test_a_pattern_is_anchored_at_both_ends(fires: Fires) -> None:
    assert fires(sel(F="a*c"), {"F": "abc"})
    assert not fires(sel(F="a*c"), {"F": "abcd"})
    assert not fires(sel(F="a*c"), {"F": "xabc"})


def test_overlapping_ends_of_a_pattern_need_their_own_characters(fires: Fires) -> None:
    assert not fires(sel(F="ab*bc"), {"F": "abc"})
    assert fires(sel(F="ab*bc"), {"F": "abbc"})


def test_a_pattern_with_many_stars_takes_no_exponential_time(fires: Fires) -> None:
    assert not fires(sel(F="a*" * 30 + "b"), {"F": "a" * 20_000})


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("a\\?b", "a?b", True),
        ("a\\?b", "axb", False),
        ("a\\\\*b", "a\\xxb", True),
        ("a\\\\*b", "a*b", False),
        ("a\\\\\\*b", "a\\*b", True),
        ("a\\\\\\*b", "a\\xb", False),
        ("C:\\Windows\\cmd.exe", "C:\\Windows\\cmd.exe", True),
        ("C:\\Windows\\", "C:\\Windows\\", True),
        ("\\\\server\\share", "\\server\\share", True),
        ("\\\\\\\\server", "\\\\server", True),
    ],
)
def test_a_backslash_escapes_only_wildcards_and_itself(
    fires: Fires, written: str, value: str, expected: bool
) -> None:
    assert fires(sel(F=written), {"F": value}) is expected


def test_a_lone_star_means_that_the_field_has_a_value(fires: Fires) -> None:
    for detection in (sel(F="*"), sel(F__contains="*")):
        assert fires(detection, {"F": "x"})
        assert fires(detection, {"F": ""})
        assert fires(detection, {"F": 0})
        assert not fires(detection, {"F": None})
        assert not fires(detection, {"F": []})
        assert not fires(detection, {})


def test_percent_signs_are_plain_text_without_expand(fires: Fires) -> None:
    assert fires(sel(F__contains="%AppData%"), {"F": "copy %appdata%\\x"})
    assert not fires(sel(F__contains="%AppData%"), {"F": "copy x"})


# Nothing, null, empty, exists


def test_null_means_missing_or_null(fires: Fires) -> None:
    assert fires(sel(F=None), {})
    assert fires(sel(F=None), {"F": None})
    assert fires(sel(F=None), {"F": [None]})
    assert not fires(sel(F=None), {"F": ""})
    assert not fires(sel(F=None), {"F": 0})
    assert not fires(sel(F=None), {"F": False})


def test_the_word_null_is_a_string(fires: Fires) -> None:
    assert fires(sel(F="null"), {"F": "NULL"})
    assert not fires(sel(F="null"), {})


def test_an_empty_string_equals_only_an_empty_string(fires: Fires) -> None:
    assert fires(sel(F=""), {"F": ""})
    assert not fires(sel(F=""), {})
    assert not fires(sel(F=""), {"F": None})
    assert not fires(sel(F=""), {"F": "x"})


def test_exists_looks_at_presence_only(fires: Fires) -> None:
    assert fires(sel(F__exists=True), {"F": None})
    assert fires(sel(F__exists=True), {"F": ""})
    assert not fires(sel(F__exists=True), {})
    assert fires(sel(F__exists=False), {})
    assert not fires(sel(F__exists=False), {"F": None})


def test_not_is_true_where_the_field_is_missing(fires: Fires) -> None:
    detection = {
        "selection": {"A": "x"},
        "filter": {"B|endswith": "\\good.exe"},
        "condition": "selection and not filter",
    }
    assert fires(detection, {"A": "x"})
    assert fires(detection, {"A": "x", "B": None})
    assert not fires(detection, {"A": "x", "B": "c:\\good.exe"})


def test_neq_is_the_negation_of_the_whole_test(fires: Fires) -> None:
    assert fires(sel(F__neq="x"), {"F": "y"})
    assert fires(sel(F__neq="x"), {})
    assert not fires(sel(F__neq="x"), {"F": "X"})
    assert not fires(sel(F__contains__neq=["a", "b"]), {"F": "xbx"})
    assert fires(sel(F__contains__all__neq=["a", "b"]), {"F": "xbx"})


# Numbers and booleans


@pytest.mark.parametrize("value", [4688, "4688", 4688.0, "4688.0", "0x1250", "+4688"])
def test_a_number_equals_its_text(fires: Fires, value: Any) -> None:
    assert fires(sel(EventID=4688), {"EventID": value})


@pytest.mark.parametrize("value", [True, "true", "46880", "", None, "4688x", [], "4_688", " 4688"])
def test_a_number_equals_nothing_else(fires: Fires, value: Any) -> None:
    assert not fires(sel(EventID=4688), {"EventID": value})


def test_one_is_not_true_and_true_is_not_one(fires: Fires) -> None:
    assert not fires(sel(F=1), {"F": True})
    assert not fires(sel(F=True), {"F": 1})
    assert fires(sel(F=True), {"F": True})
    assert fires(sel(F=True), {"F": "True"})
    assert fires(sel(F="true"), {"F": True})
    assert fires(sel(F=False), {"F": "false"})


def test_one_and_true_are_not_mixed_up_by_what_is_remembered(load: Any, rule: Any) -> None:
    engine = load(rule(sel(F=1)))

    assert [bool(engine.match({"F": value})) for value in (1, True, "1", True, 1.0)] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_string_of_digits_matches_the_number(fires: Fires) -> None:
    assert fires(sel(Port="443"), {"Port": 443})
    assert fires(sel(Port__startswith="44"), {"Port": 443})


def test_a_hexadecimal_number_that_yaml_reads_as_a_number_matches_its_text(fires: Fires) -> None:
    assert fires(sel(GrantedAccess=0x1410), {"GrantedAccess": "0x1410"})
    assert fires(sel(GrantedAccess="0x1410"), {"GrantedAccess": "0x1410"})
    assert not fires(sel(GrantedAccess="0x1410"), {"GrantedAccess": "0x14100"})


@pytest.mark.parametrize(
    ("op", "holds"),
    [("lt", [4, "4.5"]), ("lte", [4, "5"]), ("gt", [6, "5.1"]), ("gte", ["5", "0x10"])],
)
def test_numbers_are_compared_by_size(fires: Fires, op: str, holds: list[Any]) -> None:
    for value in holds:
        assert fires(sel(**{f"F__{op}": 5}), {"F": value})


def test_what_is_no_number_is_neither_greater_nor_smaller(fires: Fires) -> None:
    for value in ("", "x", None, True, [], {"a": 1}, "9" * 5_000):
        for op in ("lt", "lte", "gt", "gte"):
            assert not fires(sel(**{f"F__{op}": 5}), {"F": value})


# Lists


def test_one_member_of_a_list_is_enough(fires: Fires) -> None:
    assert fires(sel(F__endswith="b"), {"F": ["a", "xb"]})
    assert fires(sel(F=["x", "y"]), {"F": ["q", "Y"]})
    assert fires(sel(F=7), {"F": ["x", 7]})
    assert fires(sel(F__contains="deep"), {"F": [["a", ["so deep"]]]})
    assert not fires(sel(F="a b"), {"F": ["a", "b"]})


def test_all_holds_when_different_members_satisfy_it(fires: Fires) -> None:
    assert fires(sel(F__contains__all=["a", "b"]), {"F": ["xa", "xb"]})
    assert not fires(sel(F__contains__all=["a", "b"]), {"F": ["xa", "xa"]})


def test_a_list_of_values_means_any_and_with_all_means_each(fires: Fires) -> None:
    assert fires(sel(F__contains=["a", "b"]), {"F": "xbx"})
    assert not fires(sel(F__contains__all=["a", "b"]), {"F": "xbx"})
    assert fires(sel(F__contains__all=["a", "b"]), {"F": "bxa"})


def test_a_list_of_maps_means_any_of_them(fires: Fires) -> None:
    detection = {"selection": [{"A": "1", "B": "2"}, {"C": "3"}]}

    assert fires(detection, {"A": "1", "B": "2"})
    assert fires(detection, {"C": "3"})
    assert not fires(detection, {"A": "1", "C": "x"})


def test_several_conditions_are_alternatives(fires: Fires) -> None:
    detection = {"a": {"A": "1"}, "b": {"B": "2"}, "condition": ["a", "b"]}

    assert fires(detection, {"B": "2"})
    assert not fires(detection, {"B": "1"})


# Conditions


def test_quantifiers_take_wildcards_anywhere_in_names(fires: Fires) -> None:
    detection = {
        "sel_a_main": {"A": "1"},
        "sel_b_main": {"B": "2"},
        "sel_c_other": {"C": "3"},
        "condition": "all of sel*main",
    }

    assert fires(detection, {"A": "1", "B": "2"})
    assert not fires(detection, {"A": "1", "C": "3"})


def test_of_them_leaves_out_names_that_begin_with_an_underscore(fires: Fires) -> None:
    detection = {"a": {"A": "1"}, "_b": {"B": "2"}, "condition": "1 of them"}

    assert fires(detection, {"A": "1"})
    assert not fires(detection, {"B": "2"})


def test_not_one_of_negates_all_of_them(fires: Fires) -> None:
    detection = {
        "selection": {"A": "1"},
        "filter_x": {"B": "2"},
        "filter_y": {"C": "3"},
        "condition": "selection and not 1 of filter_*",
    }

    assert fires(detection, {"A": "1", "B": "x"})
    assert not fires(detection, {"A": "1", "C": "3"})


def test_and_binds_stronger_than_or(fires: Fires) -> None:
    detection = {
        "a": {"A": 1},
        "b": {"B": 1},
        "c": {"C": 1},
        "condition": "a or b and c",
    }

    assert fires(detection, {"A": 1})
    assert not fires(detection, {"B": 1})
    assert fires(detection, {"B": 1, "C": 1})


def test_a_condition_that_needs_no_positive_test_still_fires(fires: Fires) -> None:
    detection = {
        "selection": {"A": "x"},
        "filter": {"B": "y"},
        "condition": "selection or not filter",
    }

    assert fires(detection, {})
    assert fires(detection, {"Z": "z"})
    assert not fires(detection, {"B": "y"})


# Keywords


def test_a_keyword_is_found_inside_any_value(fires: Fires) -> None:
    assert fires({"selection": ["mimi"]}, {"A": 1, "B": "runs MimiKatz"})
    assert fires({"selection": ["needle"]}, {"A": {"deep": ["x", {"y": "a needle"}]}})
    assert not fires({"selection": ["mimi"]}, {"mimi": "x"})


def test_a_keyword_may_have_wildcards_and_be_a_number(fires: Fires) -> None:
    assert fires({"selection": ["no * session"]}, {"m": "xx no access\n session"})
    assert fires({"selection": [4688]}, {"m": "event 4688 seen"})
    assert fires({"selection": [4688]}, {"m": 4688})


def test_keywords_with_all_may_be_in_different_values(fires: Fires) -> None:
    detection = {"selection": {"|all": ["alpha", "beta"]}}

    assert fires(detection, {"A": "Alpha", "B": "Beta"})
    assert not fires(detection, {"A": "Alpha"})


def test_a_keyword_does_not_reach_from_one_value_into_the_next(fires: Fires) -> None:
    assert not fires({"selection": ["ab"]}, {"A": "a", "B": "b"})
    assert not fires({"selection": ["a\0b"]}, {"A": "a", "B": "b"})
    assert fires({"selection": ["a\0b"]}, {"A": "xa\0bx"})


def test_a_keyword_may_be_a_regex(fires: Fires) -> None:
    assert fires({"selection": {"|re": "b[ae]d$"}}, {"A": "so bed"})
    assert not fires({"selection": {"|re": "b[ae]d$"}}, {"A": "so BED"})


# Modifiers


def test_a_regex_searches_with_case_and_without_escaping(fires: Fires) -> None:
    assert fires(sel(F__re="a\\d+\\\\b"), {"F": "xa12\\bx"})
    assert not fires(sel(F__re="abc"), {"F": "ABC"})
    assert fires(sel(F__re__i="abc"), {"F": "ABC"})


def test_flags_of_a_regex_change_dot_and_anchors(fires: Fires) -> None:
    assert not fires(sel(F__re="a.b"), {"F": "a\nb"})
    assert fires(sel(F__re__s="a.b"), {"F": "a\nb"})
    assert not fires(sel(F__re="^b$"), {"F": "a\nb\nc"})
    assert fires(sel(F__re__m="^b$"), {"F": "a\nb\nc"})


def test_the_end_of_a_regex_is_the_very_end_of_the_text(fires: Fires) -> None:
    assert not fires(sel(F__re="b$"), {"F": "ab\n"})


def test_an_exponential_regex_is_answered_in_linear_time(fires: Fires) -> None:
    assert not fires(sel(F__re="^(a+)+$"), {"F": "a" * 5_000 + "b"})


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", "::1"]),
        ("192.168.1.1/32", ["192.168.1.1"], ["192.168.1.2"]),
        ("fe80::/10", ["fe80::1", "fe80::1%eth0", "FE80::A"], ["::1", "10.0.0.1"]),
    ],
)
def test_cidr_tells_addresses_of_both_families(
    fires: Fires, network: str, inside: list[str], outside: list[str]
) -> None:
    for address in inside:
        assert fires(sel(F__cidr=network), {"F": address})
    for address in outside:
        assert not fires(sel(F__cidr=network), {"F": address})


@pytest.mark.parametrize("value", ["-", "", "x", None, 1, True, "10.0.0", "10.0.0.1.2", "9" * 999])
def test_cidr_is_false_for_what_is_no_address(fires: Fires, value: Any) -> None:
    assert not fires(sel(F__cidr="10.0.0.0/8"), {"F": value})
    assert not fires(sel(F__cidr="::/0"), {"F": value})


def test_fieldref_compares_two_fields_without_case(fires: Fires) -> None:
    assert fires(sel(A__fieldref="B"), {"A": "x", "B": "X"})
    assert fires(sel(A__fieldref="B"), {"A": 5, "B": "5"})
    assert not fires(sel(A__fieldref="B"), {"A": "x", "B": "y"})
    assert fires(sel(A__fieldref__startswith="B"), {"A": "xyz", "B": "XY"})
    assert fires(sel(A__fieldref__endswith="B"), {"A": "xyz", "B": "YZ"})
    assert fires(sel(A__fieldref__contains="B"), {"A": "xyz", "B": "Y"})


def test_fieldref_is_false_where_a_side_is_missing(fires: Fires) -> None:
    for event in ({"A": "x"}, {"B": "x"}, {}, {"A": None, "B": None}):
        assert not fires(sel(A__fieldref="B"), event)


@pytest.mark.parametrize("dash", ["-", "/", "\u2013", "\u2014", "\u2015"])
def test_windash_takes_every_dash(fires: Fires, dash: str) -> None:
    assert fires(sel(F__windash__contains=" -enc "), {"F": f"powershell {dash}enc x"})
    assert not fires(sel(F__windash__contains=" -enc "), {"F": "powershell enc x"})


def test_windash_leaves_a_dash_inside_a_word(fires: Fires) -> None:
    assert fires(sel(F__windash__contains="-param-name"), {"F": "/param-name"})
    assert not fires(sel(F__windash__contains="-param-name"), {"F": "/param/name"})


def test_windash_alternatives_stay_alternatives_under_all(fires: Fires) -> None:
    detection = sel(F__windash__contains__all=["-a ", "-b "])

    assert fires(detection, {"F": "x /a y -b z"})
    assert not fires(detection, {"F": "x /a y"})


def test_base64_encodes_the_value(fires: Fires) -> None:
    assert fires(sel(F__base64__contains="whoami"), {"F": "x d2hvYW1p y"})
    assert not fires(sel(F__base64__contains="whoami"), {"F": "whoami"})


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_base64offset_finds_the_text_at_every_offset(fires: Fires, before: str) -> None:
    encoded = b64encode(f"{before}http://evil.example and more".encode()).decode()

    assert fires(sel(F__base64offset__contains="http://evil"), {"F": encoded})


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_base64offset_counts_bytes_where_text_is_not_ascii(fires: Fires, before: str) -> None:
    encoded = b64encode(f"{before}blåbærgrød og mere".encode()).decode()

    assert fires(sel(F__base64offset__contains="blåbærgrød"), {"F": encoded})


def test_base64_takes_an_escaped_wildcard_as_the_character(fires: Fires) -> None:
    assert fires(sel(F__base64__contains="a\\*b"), {"F": b64encode(b"a*b").decode()})


@pytest.mark.parametrize(
    ("modifier", "codec"),
    [("wide", "utf-16-le"), ("utf16le", "utf-16-le"), ("utf16be", "utf-16-be")],
)
def test_wide_text_is_encoded_before_base64(fires: Fires, modifier: str, codec: str) -> None:
    encoded = b64encode("xx IEX (New-Object".encode(codec)).decode()
    detection = sel(**{f"F__{modifier}__base64offset__contains": "IEX (New-Object"})

    assert fires(detection, {"F": encoded})


def test_utf16_begins_with_a_byte_order_mark(fires: Fires) -> None:
    encoded = b64encode(b"\xff\xfe" + "ping".encode("utf-16-le")).decode()

    assert fires(sel(F__utf16__base64="ping"), {"F": encoded})


@pytest.mark.parametrize(
    ("part", "value"),
    [("minute", 37), ("hour", 13), ("day", 10), ("week", 2), ("month", 1), ("year", 2026)],
)
def test_parts_of_a_time_are_in_utc(fires: Fires, part: str, value: int) -> None:
    for written in (
        "2026-01-10T13:37:01.000Z",
        "2026-01-10T14:37:01+01:00",
        1768052221,
        "2026-01-10 13:37:01",
    ):
        assert fires(sel(**{f"T__{part}": value}), {"T": written})
    assert not fires(sel(**{f"T__{part}": value + 1}), {"T": "2026-01-10T13:37:01Z"})


@pytest.mark.parametrize("value", ["", "now", None, True, "9999999999999999", [], "2026-13-45"])
def test_a_part_of_what_is_no_time_is_false(fires: Fires, value: Any) -> None:
    assert not fires(sel(T__hour=1), {"T": value})


def test_expand_takes_its_values_from_the_configuration(fires: Fires) -> None:
    values = {"admins": ["root", "adm*"]}

    assert fires(sel(User__expand="%admins%"), {"User": "ROOT"}, placeholders=values)
    assert fires(sel(User__expand="%admins%"), {"User": "admin7"}, placeholders=values)
    assert not fires(sel(User__expand="%admins%"), {"User": "bo"}, placeholders=values)


def test_an_object_is_compared_as_its_json(fires: Fires) -> None:
    assert fires(sel(P__contains='"Principal":"*"'.replace("*", "\\*")), {"P": {"Principal": "*"}})
