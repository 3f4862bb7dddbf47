"""RSIT classification of rules."""

import pytest

from alerts.rsit import TACTICS, TECHNIQUES, TYPES, classify


def test_the_taxonomy_has_its_11_classes_and_39_types() -> None:
    assert len(set(TYPES.values())) == 11
    assert len(TYPES) == 39


@pytest.mark.parametrize("kind", [*TECHNIQUES.values(), *TACTICS.values()])
def test_every_mapped_type_exists(kind: str) -> None:
    assert kind in TYPES


def test_a_rules_own_word_wins() -> None:
    assert classify(["attack.t1110", "rsit.phishing"]) == ("fraud", "phishing")


def test_a_sub_technique_counts_as_its_technique() -> None:
    assert classify(["attack.credential-access", "attack.t1110.003"]) == (
        "intrusion-attempts",
        "brute-force",
    )


def test_a_tactic_decides_where_no_technique_does() -> None:
    assert classify(["attack.exfiltration"]).kind == "data-leak"


def test_what_nothing_decides_is_undetermined() -> None:
    assert classify(["cve.2026-1", "rsit.unheard"]) == ("other", "undetermined")
