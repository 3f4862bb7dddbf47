"""RSIT classification (Reference Security Incident Taxonomy, v1003) of a rule.

A rule may say it itself with a tag ``rsit.<type>``; else its ATT&CK tags decide by the table
below (ours; the taxonomy has no complete mapping); else it is other/undetermined.
"""

from collections.abc import Iterable
from typing import NamedTuple

VERSION = 1003

TYPES: dict[str, str] = {
    kind: group
    for group, kinds in {
        "abusive-content": "spam harmful-speech violence",
        "malicious-code": "infected-system c2-server malware-distribution malware-configuration",
        "information-gathering": "scanner sniffing social-engineering",
        "intrusion-attempts": "ids-alert brute-force exploit",
        "intrusions": "privileged-account-compromise unprivileged-account-compromise "
        "application-compromise system-compromise burglary",
        "availability": "dos ddos misconfiguration sabotage outage",
        "information-content-security": "unauthorised-information-access "
        "unauthorised-information-modification data-loss data-leak",
        "fraud": "unauthorised-use-of-resources copyright masquerade phishing",
        "vulnerable": "weak-crypto ddos-amplifier potentially-unwanted-accessible "
        "information-disclosure vulnerable-system",
        "other": "other undetermined",
        "test": "test",
    }.items()
    for kind in kinds.split()
}
"""RSIT type to its class; 39 types in 11 classes."""

TECHNIQUES: dict[str, str] = {
    "t1046": "scanner",
    "t1595": "scanner",
    "t1018": "scanner",
    "t1040": "sniffing",
    "t1557": "sniffing",
    "t1598": "social-engineering",
    "t1566": "phishing",
    "t1110": "brute-force",
    "t1190": "exploit",
    "t1210": "exploit",
    "t1203": "exploit",
    "t1068": "exploit",
    "t1496": "unauthorised-use-of-resources",
    "t1486": "sabotage",
    "t1485": "sabotage",
    "t1490": "sabotage",
    "t1489": "sabotage",
    "t1498": "ddos",
    "t1499": "dos",
    "t1565": "unauthorised-information-modification",
    "t1505": "application-compromise",
    "t1071": "c2-server",
    "t1095": "c2-server",
    "t1572": "c2-server",
    "t1573": "c2-server",
    "t1041": "data-leak",
    "t1048": "data-leak",
    "t1567": "data-leak",
    "t1003": "privileged-account-compromise",
    "t1558": "privileged-account-compromise",
    "t1078": "unprivileged-account-compromise",
    "t1136": "privileged-account-compromise",
    "t1098": "privileged-account-compromise",
    "t1036": "masquerade",
}
"""ATT&CK technique (without sub-technique) to RSIT type."""

TACTICS: dict[str, str] = {
    "reconnaissance": "scanner",
    "discovery": "system-compromise",
    "command-and-control": "c2-server",
    "exfiltration": "data-leak",
    "impact": "sabotage",
    "collection": "unauthorised-information-access",
    "credential-access": "privileged-account-compromise",
    "privilege-escalation": "privileged-account-compromise",
    "initial-access": "ids-alert",
    "execution": "system-compromise",
    "persistence": "system-compromise",
    "stealth": "system-compromise",
    "defense-impairment": "system-compromise",
    "defense-evasion": "system-compromise",
    "lateral-movement": "system-compromise",
}
"""ATT&CK tactic to RSIT type, where no technique decided."""


class Classification(NamedTuple):
    """RSIT class and type."""

    group: str
    kind: str


def classify(tags: Iterable[str]) -> Classification:
    """Returns the RSIT class and type of a rule with these Sigma tags; never fails."""
    names = [tag.lower() for tag in tags]
    for tag in names:
        if tag.startswith("rsit.") and tag[5:] in TYPES:
            return Classification(TYPES[tag[5:]], tag[5:])
    attack = [tag[7:] for tag in names if tag.startswith("attack.")]
    for name in attack:
        kind = TECHNIQUES.get(name.split(".")[0])
        if kind:
            return Classification(TYPES[kind], kind)
    for name in attack:
        kind = TACTICS.get(name.replace("_", "-"))
        if kind:
            return Classification(TYPES[kind], kind)
    return Classification("other", "undetermined")
