"""A Logprep as one would set it up for Windows events: 28 fields of ECS, logsources, Sigma rules.

The fields are moved, not copied, but for those of event 4688, which rules for the audit log read by
their own names. Each event gets its Sigma logsources as values, so that a rule's first condition is
one look-up, and Logprep's tree of rules looks at it first (``tree_config``).
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from benchmarks.peers.conditions import (
    Leaf,
    Node,
    Untranslatable,
    convert,
    joined,
    leaves,
    terms,
)
from detect.mappings.windows import SOURCES, SYSMON, SYSMON_CATEGORIES

CATEGORY, SERVICE = "logsource.category", "logsource.service"
NUMBER = "bench_number"
"""Field that numbers the events in what both are given."""
DETECTIONS = "bench.detections"
EVENTS = "bench.events"

COMMON = {
    "Channel": "winlog.channel",
    "EventID": "event.code",
    "SourceName": "winlog.provider_name",
    "Hostname": "host.name",
    "Message": "message",
    "RecordNumber": "winlog.record_id",
    "EventReceivedTime": "event.created",
}
SYSMON_FIELDS = {
    "ProcessGuid": "process.entity_id",
    "ProcessId": "process.pid",
    "Image": "process.executable",
    "CommandLine": "process.command_line",
    "CurrentDirectory": "process.working_directory",
    "User": "user.name",
    "ParentProcessGuid": "process.parent.entity_id",
    "ParentProcessId": "process.parent.pid",
    "ParentImage": "process.parent.executable",
    "ParentCommandLine": "process.parent.command_line",
    "OriginalFileName": "file.pe.original_file_name",
    "TargetFilename": "file.path",
    "ImageLoaded": "dll.path",
    "TargetObject": "registry.path",
    "Details": "registry.data.strings",
    "SourceIp": "source.ip",
    "SourcePort": "source.port",
    "DestinationIp": "destination.ip",
    "DestinationPort": "destination.port",
    "DestinationHostname": "destination.domain",
    "QueryName": "dns.question.name",
}
AUDIT_FIELDS = {
    "NewProcessName": "process.executable",
    "CommandLine": "process.command_line",
    "ParentProcessName": "process.parent.executable",
    "SubjectUserName": "user.name",
    "NewProcessId": "process.pid",
    "ProcessId": "process.parent.pid",
}
RULE_NAMES = {"Provider_Name": "winlog.provider_name", "Computer": "host.name"}
EXACT = {"event.code", "winlog.channel", CATEGORY, SERVICE}
"""Fields whose values rules give in full and in one case: compared as they are."""
TREE = {
    "priority_dict": {CATEGORY: "01", SERVICE: "02", "winlog.channel": "03", "event.code": "04"}
}

MAX_TERMS = 512
"""A rule that needs more terms is left out: building Logprep's tree costs the square of them.

Lists of values stay lists. As one regex each they load faster and are asked far slower: 1,000 rules
took 840 us an event with those of more than 32 terms merged, 270 us with those of more than 256.
"""


@dataclass(frozen=True)
class Translated:
    """A rule for Logprep: what its file holds, and what its filter must be read as."""

    id: str
    content: dict[str, Any]
    leaves: list[tuple[str, str, str]]


def translate(rule: SigmaRule) -> Translated:
    """Returns a Sigma rule in Logprep's format. Raises `Untranslatable` and `SigmaError`."""
    source = rule.logsource
    names = names_for(source.category or "", source.service or "")
    nodes = [convert(each.parsed, names) for each in rule.detection.parsed_condition]
    condition = joined("OR", nodes)
    if terms(condition) > MAX_TERMS:
        raise Untranslatable("too many terms")
    places = {CATEGORY: source.category, SERVICE: source.service}
    first: list[Node] = [Leaf(key, "text", value) for key, value in places.items() if value]
    whole = joined("AND", [*(first or [Leaf("winlog.channel", "exists")]), condition])
    found = list(leaves(whole))
    content = {
        "filter": str(whole),
        "sigma_fields": sorted({leaf.field for leaf in found} - EXACT),
        "pre_detector": {
            "id": str(rule.id),
            "title": rule.title,
            "severity": rule.level.name.lower() if rule.level else "informational",
            "mitre": [str(tag) for tag in rule.tags],
            "case_condition": "directly",
            "copy_fields_to_detection_event": ["host.name", NUMBER],
        },
        "description": rule.description or "",
    }
    return Translated(str(rule.id), content, [(x.field, x.kind, x.value) for x in found])


def names_for(category: str, service: str) -> Callable[[str], str]:
    """Returns where the fields of rules for a logsource are in the mapped event."""
    names = COMMON | RULE_NAMES
    if category in SYSMON_CATEGORIES or service == "sysmon":
        names = names | SYSMON_FIELDS

    def place(field: str) -> str:
        found = names.get(field, field)
        if not re.fullmatch(r"\w+(\.\w+)*", found):
            raise Untranslatable("a field's name with special characters")
        return found

    return place


def rules_for_windows(folder: Path) -> list[tuple[str, Path]]:
    """Returns (id, file) of SigmaHQ's rules for Windows, by id."""
    found = {}
    for path in sorted(folder.rglob("*.yml")):
        text = path.read_text("utf-8")
        if re.search(r"^\s+product:\s*windows\s*$", text, re.MULTILINE):
            named = re.search(r"^id:\s*([0-9a-f-]{36})\s*$", text, re.MULTILINE)
            if named:
                found[named[1]] = path
    return sorted(found.items())


def translated(path: Path) -> Translated | str:
    """Returns the rule of a file in Logprep's format, or why it cannot be had."""
    try:
        return translate(SigmaRule.from_yaml(path.read_text("utf-8")))
    except Untranslatable as reason:
        return str(reason)
    except SigmaError as error:
        return f"pySigma: {type(error).__name__}"


def labels() -> list[dict[str, Any]]:
    """Returns the rules of generic_adder that say of each event which logsources it has."""
    categories: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    services: dict[str, list[str]] = defaultdict(list)
    for source in SOURCES:
        channels = source.where.get("winlog.channel", ())
        for code in source.where.get("event.code", ()):
            categories[channels, code].append(source.category)
        if source.service:
            for channel in channels:
                services[channel].append(source.service)
    rules = [
        _adder(f'{_any_case(channels)} AND event.code:"{code}"', CATEGORY, names)
        for (channels, code), names in categories.items()
    ]
    rules += [_adder(_any_case((channel,)), SERVICE, names) for channel, names in services.items()]
    return rules


def _any_case(channels: tuple[str, ...]) -> str:
    """Returns the condition on the channel; some agents write ``security``."""
    spelt = [spelling for name in channels for spelling in dict.fromkeys((name, name.lower()))]
    return "(" + " OR ".join(f'winlog.channel:"{name}"' for name in spelt) + ")"


def _adder(condition: str, field: str, values: list[str]) -> dict[str, Any]:
    value: str | list[str] = values[0] if len(values) == 1 else values
    return {"filter": condition, "generic_adder": {"add": {field: value}}, "description": ""}


def fields() -> list[dict[str, Any]]:
    """Returns the rules of field_manager that move the 28 fields."""
    audit = '(Channel:"Security" OR Channel:"security") AND EventID:"4688"'
    return [
        _mover("Channel AND EventID", COMMON, move=True),
        _mover(f'Channel:"{SYSMON[0]}"', SYSMON_FIELDS, move=True),
        _mover(audit, AUDIT_FIELDS, move=False),
    ]


def _mover(condition: str, mapping: Mapping[str, str], *, move: bool) -> dict[str, Any]:
    manager = {
        "mapping": dict(mapping),
        "delete_source_fields": move,
        "ignore_missing_fields": True,
    }
    return {"filter": condition, "field_manager": manager, "description": ""}


def configuration(folder: Path, broker: str, topic: str, group: str) -> dict[str, Any]:
    """Writes the mapping's rules below ``folder`` and returns Logprep's configuration.

    The detection rules are expected in ``folder/rules``. Batches as large and compressed as
    samlog's are asked for; the rest is Logprep's default.
    """
    forwarder = _mover("host", {"host": "observer.name"}, move=True)
    (folder / "forwarder.json").write_text(json.dumps([forwarder]))
    (folder / "fields.json").write_text(json.dumps(fields()))
    (folder / "labels.json").write_text(json.dumps(labels()))
    (folder / "tree.json").write_text(json.dumps(TREE))
    reading = {"bootstrap.servers": broker, "group.id": group, "auto.offset.reset": "earliest"}
    writing = {"bootstrap.servers": broker, "compression.codec": "lz4", "linger.ms": "5"}
    detector = {
        "type": "pre_detector",
        "rules": [str(folder / "rules")],
        "outputs": [{"kafka": DETECTIONS}],
        "tree_config": str(folder / "tree.json"),
    }
    return {
        "version": "1",
        "process_count": 1,
        "timeout": 1.0,
        "logger": {"level": "WARNING"},
        "input": {
            "kafka": {"type": "confluentkafka_input", "topic": topic, "kafka_config": reading}
        },
        "output": {
            "kafka": {"type": "confluentkafka_output", "topic": EVENTS, "kafka_config": writing}
        },
        "pipeline": [
            {"forwarder": _processor("field_manager", folder / "forwarder.json")},
            {"fields": _processor("field_manager", folder / "fields.json")},
            {"labels": _processor("generic_adder", folder / "labels.json")},
            {"detect": detector},
        ],
    }


def _processor(kind: str, rules: Path) -> dict[str, Any]:
    return {"type": kind, "rules": [str(rules)]}
