"""The alert as the CERT sees it: soc-alert/1 (requirements section 9), JSON, at most 64 KiB.

No raw log, no clear user name and no mail address is in it: people are tokens (HMAC with a key
per municipality), evidence is a reference. The rule's author is always there: SigmaHQ's licence
(DRL 1.1) asks for it wherever a match is shown.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, NamedTuple

import jsonschema
import orjson

from alerts import firings as of_correlation
from alerts.dedup import first
from alerts.fit import cut, packed
from alerts.priority import priority
from alerts.rsit import VERSION, classify
from samlog.config import UnitDefaults

SCHEMA = "soc-alert/1"
MAX_EVIDENCE = 50
MAX_OBSERVABLES = 50
MAX_ACTIONS = 20
OPEN = "new"
CLOSED = "closed"


@dataclass(frozen=True)
class Evidence:
    """Where one event of an alert is stored; raw logs are never inside an alert."""

    index: str
    event_id: str
    sha256: str
    log_class: str


class Observable(NamedTuple):
    """``role`` source, target or actor; ``type`` as in STIX, or ``user-token``."""

    role: str
    type: str
    value: str


class State(NamedTuple):
    status: str
    changed_at: str
    actor: str


def subject(context: Mapping[str, Any], defaults: UnitDefaults) -> dict[str, Any]:
    """Returns whom and what an alert concerns: the event's context, else the unit's defaults."""

    def known(name: str, default: str) -> str:
        return first(context.get(name)) or default

    found: dict[str, Any] = {
        "municipality": known("organization.id", defaults.municipality),
        "zone": known("samlog.zone", defaults.zone),
        "environment": known("samlog.environment", defaults.environment),
        "layer": known("samlog.layer", defaults.layer),
        "system": known("samlog.system", defaults.system),
        "life_and_health": defaults.life_and_health,
    }
    host = first(context.get("host.name"))
    if host:
        addresses = context.get("host.ip") or []
        ips = addresses if isinstance(addresses, list) else [addresses]
        found["assets"] = [{"id": host, "type": "host", "ip": sorted(map(str, ips))[:10]}]
    return found


def observables(context: Mapping[str, Any], token_key: bytes) -> list[Observable]:
    """Returns what an alert may show of one event; users as tokens."""
    found = []
    for role, name in (("source", "source.ip"), ("target", "destination.ip")):
        address = first(context.get(name))
        if address:
            try:
                found.append(Observable(role, f"ipv{ip_address(address).version}-addr", address))
            except ValueError:
                continue
    host = first(context.get("host.name"))
    if host:
        found.append(Observable("target", "hostname", host))
    user = first(context.get("user.name"))
    if user:
        found.append(Observable("actor", "user-token", user_token(user, token_key)))
    return found


def user_token(user: str, key: bytes) -> str:
    """Returns ``hmac:…``: the same person gives the same token within one municipality."""
    return "hmac:" + hmac.new(key, user.lower().encode("utf-8", "replace"), sha256).hexdigest()[:32]


def rule_of(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the envelope's ``rule``: title, author, version and techniques of a Sigma rule."""
    return {
        "id": str(rule.get("id", "")),
        "title": str(rule.get("title", "")),
        "author": str(rule.get("author") or "unknown"),
        "version": "sha256:" + str(rule.get("sha256", "")),
        "level": str(rule.get("level") or "medium"),
        "attack": sorted(map(str, rule.get("attack") or []))[:20],
        "log_class": str(rule.get("log_class") or ""),
    }


def build(
    *,
    alert_id: str,
    seq: int,
    revision: int,
    key: str,
    unit: str,
    rule: Mapping[str, Any],
    subject_: Mapping[str, Any],
    defaults: UnitDefaults,
    times: Mapping[str, str],
    count: int,
    evidence: Sequence[Evidence],
    seen: Iterable[Observable],
    state: State,
    actions: Sequence[str] = (),
    firings: Sequence[Mapping[str, Any]] = (),
    closes: bool = False,
) -> bytes:
    """Returns one revision as JSON, keys in the schema's order, within `alerts.fit.MAX_BYTES`.

    ``times`` has first_seen, last_seen, detected and sent (ISO 8601 UTC). Texts and evidence are
    cut to what fits, whatever they hold; ``count`` still tells how many detections there are.
    ``firings`` are those of a correlation: then the summary counts their events, and says what is
    provisional or withdrawn. ``closes``: it is the revision that tells that the alert was closed.
    """
    level = priority(str(rule.get("level", "")), subject_)
    rsit = classify(map(str, rule.get("tags") or []))
    host = cut(subject_.get("assets", [{}])[0].get("id", ""))
    where = f" on {host}" if host else ""
    title = cut(str(rule.get("title", "")))
    events = of_correlation.total(firings) if firings else count
    certain = of_correlation.said_of(firings) if firings else ("", "")
    envelope = {
        "schema": SCHEMA,
        "type": "alert" if revision == 1 else "close" if closes else "update",
        "id": alert_id,
        "seq": seq,
        "revision": revision,
        "dedup_key": key,
        "exercise": False,
        "producer": {
            "unit": unit,
            "instance": "alerts",
            "rule_set": str(rule.get("rule_set") or ""),
        },
        "subject": dict(subject_),
        "time": {**times, "nis2_aware_at": None},
        "rule": rule_of(rule),
        "priority": {
            "code": level.code,
            "label": level.label,
            "raised_because": list(level.raised_because),
        },
        "classification": {
            "scheme": "rsit",
            "version": VERSION,
            "class": rsit.group,
            "type": rsit.kind,
        },
        "sharing": {"tlp": "AMBER", "pap": "AMBER", "personal_data": "pseudonymised"},
        "count": count,
        "summary": {
            "en": f"{title}: {events} event{'' if events == 1 else 's'}{where}{certain[0]}",
            "da": f"{title}: {events} hændelse{'' if events == 1 else 'r'}"
            + (f" på {host}" if host else "")
            + certain[1],
        },
        "observables": [o._asdict() for o in sorted(set(seen))[:MAX_OBSERVABLES]],
        "evidence": [asdict(e) for e in evidence[:MAX_EVIDENCE]],
        "routing": {
            "task": "incident",
            "responsible": [f"{unit}/2nd-line"],
            "accountable": defaults.accountable,
            "consulted": [],
            "informed": ["cert"],
        },
        "reporter": {"kind": "rule", "name": None, "phone": None, "workplace": None},
        "state": state._asdict(),
        "related": [],
        "actions": list(actions[:MAX_ACTIONS]),
        "playbook_ref": None,
    }
    if firings:
        envelope["correlation"] = of_correlation.shown(firings)
    return packed(envelope)


@cache
def validator() -> Any:
    """Returns the validator of the JSON Schema ``alerts/schema/soc-alert-1.json``."""
    text = files("alerts").joinpath("schema/soc-alert-1.json").read_bytes()
    return jsonschema.Draft202012Validator(orjson.loads(text))


def problems(envelope: Mapping[str, Any]) -> list[str]:
    """Returns what is wrong with an envelope by its schema, a sentence each; [] if valid."""
    return [f"{error.json_path}: {error.message}" for error in validator().iter_errors(envelope)]
