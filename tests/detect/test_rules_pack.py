"""samlog's own rules: each one is complete, fires on its samples, and is explained rightly."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from detect.document import rule_files
from detect.engine import Engine
from detect.explain import Explainer
from detect.lint import lint
from detect.trial import Trial, samples_of, trials
from ingest.content import read_pieces
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry
from samlog.errors import BadEvent
from samlog.event import Event

ROOT = Path(__file__).parents[2] / "detect" / "rules"
SAMPLES = ROOT.parent / "samples"
FILES = rule_files(ROOT)
DOCUMENTS = {file: list(yaml.safe_load_all(file.read_text("utf-8"))) for file in FILES}
CORRELATIONS = [file for file in FILES if "correlation" in DOCUMENTS[file][0]]
RULES = [file for file in FILES if file not in CORRELATIONS]
NORMALIZER = Normalizer({}, Registry())
RECEIVED = datetime(2026, 11, 22, tzinfo=UTC)
MANDATORY = {f"LC-{n:02}" for n in range(1, 24)}
"""Log classes of requirements.md that are mandatory (R-37)."""
OF_THE_SEED = {
    "accepted flow intern to sikker": "windows_secure_zone_entered_from_outside",
    "logon to the zone outside the group": "windows_remote_desktop_outside_group",
    "sikker egress by another path": "windows_secure_zone_egress_by_another_path",
    "direct egress past the firewall": "zeek_direct_egress_past_firewall",
    "shared account": "windows_shared_account_logon",
    "unknown MAC": "zeek_lease_for_unknown_device",
    "remote access from an unmanaged device": "azure_remote_access_from_unmanaged_device",
    "new software or service": "windows_service_installed_by_user",
    "restore without order": "windows_restore_started",
    "no backup success": "windows_backup_failed",
    "log cleared, logging stopped": "windows_event_log_cleared",
}
"""The eleven of R-36; an absence ("no success") is told by the failure that is logged."""
ADDRESS = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w.-])")
INVENTED = [
    ip_network(n)
    for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "127.0.0.0/8")
    + ("192.168.0.0/16", "172.16.0.0/12")
]


def read(file: Path) -> Iterator[tuple[str, list[Event]]]:
    """Reads a sample as the pipeline would: split by ingest, parsed by normalize."""
    for n, piece in enumerate(read_pieces(file, 1 << 20), 1):
        name = f"{file.name}:{n}"
        try:
            yield name, parse_record(piece.value, NORMALIZER, received=RECEIVED, name=name)
        except BadEvent:
            yield name, []


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load([ROOT])


@pytest.fixture(scope="module")
def tried(engine: Engine) -> dict[str, Trial]:
    """Returns what became of every rule, by the name of its file."""
    return {Path(trial.rule.path).stem: trial for trial in trials(ROOT, engine, read)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_rule_fires_on_all_of_its_samples_and_on_no_near_miss(
    file: Path, tried: dict[str, Trial]
) -> None:
    trial = tried[file.stem]

    assert trial.problems == ()
    assert trial.verdict == "ok"
    assert trial.records >= 4


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_an_explanation_says_the_same_as_the_engine(file: Path, engine: Engine) -> None:
    explainer = Explainer(file, "", {})
    samples = samples_of(file)

    for sample in samples.match + samples.nomatch:
        for name, events in read(sample):
            for event in events:
                fires = any(m.rule.id == explainer.rule.id for m in engine.match(event))
                assert explainer.explain(event).fires is fires, name


def test_all_rules_load_and_each_can_fire_on_what_samlog_parses(engine: Engine) -> None:
    assert engine.report.refused == []
    assert engine.report.unmapped == []
    assert len(engine.rules) + len(engine.built.correlations) == sum(map(len, DOCUMENTS.values()))
    assert len(FILES) >= 60


def test_each_rule_says_everything_that_is_asked_of_our_own() -> None:
    findings, _ = lint([ROOT], strict=True, placeholders={})

    assert [str(finding) for finding in findings] == []


def test_each_rule_has_a_fresh_id_and_names_its_authors() -> None:
    rules = [rule for documents in DOCUMENTS.values() for rule in documents]

    assert {UUID(rule["id"]).version for rule in rules} == {4}
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert {rule["author"] for rule in rules} == {"samlog contributors"}
    assert {rule["status"] for rule in rules} == {"test"}
    assert len({rule["title"] for rule in rules}) == len(rules)


def test_every_mandatory_log_class_has_a_rule(engine: Engine) -> None:
    assert {rule.log_class for rule in engine.rules} >= MANDATORY


def test_each_of_the_seeds_demands_has_a_rule() -> None:
    assert len(OF_THE_SEED) == 11
    assert set(OF_THE_SEED.values()) <= {file.stem for file in FILES}


def test_the_four_thresholds_are_correlations(engine: Engine) -> None:
    """R-34: traffic, lockouts, privilege escalations, malware on several hosts."""
    told = {Path(one.rule.path).stem for one in engine.built.correlations}

    assert told == {file.stem for file in CORRELATIONS}
    assert told == {
        "windows_malware_on_several_hosts",
        "windows_several_accounts_locked_out",
        "windows_several_privilege_escalations",
        "zeek_traffic_spike_on_one_port",
    }


def test_every_sample_belongs_to_a_rule_and_names_are_unique() -> None:
    stems = [file.stem for file in FILES]

    assert len(set(stems)) == len(stems)
    strangers = [p.name for p in SAMPLES.iterdir() if p.name.split(".")[0] not in stems]
    assert strangers == []


def test_samples_hold_invented_addresses_only() -> None:
    found = {
        text
        for sample in SAMPLES.iterdir()
        for text in ADDRESS.findall(sample.read_text("utf-8"))
        if not any(ip_address(text) in network for network in INVENTED)
    }

    assert found == set()


def test_no_rule_is_taken_from_sigmahq(shared_data: Path, engine: Engine) -> None:
    lines = re.compile(r"^(?:title|id): *(.+?) *$", re.MULTILINE)
    others = {
        text.lower()
        for file in (shared_data / "sigmahq").rglob("*.yml")
        for text in lines.findall(file.read_text("utf-8"))
    }

    assert others
    assert [r.title for r in engine.rules if r.title.lower() in others or r.id in others] == []
