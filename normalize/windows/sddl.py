"""Security descriptors in words: ``D:(A;;GA;;;SY)`` is "Local system :Access Allowed ([..])".

Source: Microsoft, "Security Descriptor String Format", "ACE Strings" and "SID Strings".
"""

from collections.abc import Iterator

MAX_ENTRIES = 16
"""Entries described of each list; every one is a field of its own. The descriptor stays whole."""

ACE_TYPES = {
    "A": "Access Allowed",
    "D": "Access Denied",
    "OA": "Object Access Allowed",
    "OD": "Object Access Denied",
    "AU": "System Audit",
    "AL": "System Alarm",
    "OU": "Object System Audit",
    "OL": "Object System Alarm",
    "ML": "System Mandatory Label",
    "XA": "Callback Access Allowed",
    "XD": "Callback Access Denied",
    "XU": "Callback System Audit",
    "ZA": "Callback Object Access Allowed",
    "RA": "Resource Attribute",
    "SP": "Scoped Policy Identifier",
}
RIGHTS = {
    "GA": "Generic All",
    "GR": "Generic Read",
    "GW": "Generic Write",
    "GX": "Generic Execute",
    "RC": "Read Permissions",
    "SD": "Delete",
    "WD": "Modify Permissions",
    "WO": "Modify Owner",
    "RP": "Read All Properties",
    "WP": "Write All Properties",
    "CC": "Create All Child Objects",
    "DC": "Delete All Child Objects",
    "LC": "List Contents",
    "SW": "All Validated Writes",
    "LO": "List Object",
    "DT": "Delete Subtree",
    "CR": "All Extended Rights",
    "FA": "File All Access",
    "FR": "File Generic Read",
    "FW": "File Generic Write",
    "FX": "File Generic Execute",
    "KA": "Key All Access",
    "KR": "Key Read",
    "KW": "Key Write",
    "KX": "Key Execute",
    "NR": "No Read Up",
    "NW": "No Write Up",
    "NX": "No Execute Up",
}
TRUSTEES = {
    "AN": "Anonymous logon",
    "AO": "Account operators",
    "AU": "Authenticated users",
    "BA": "Built-in administrators",
    "BG": "Built-in guests",
    "BO": "Backup operators",
    "BU": "Built-in users",
    "CA": "Certificate server administrators",
    "CG": "Creator group",
    "CO": "Creator owner",
    "DA": "Domain administrators",
    "DC": "Domain computers",
    "DD": "Domain controllers",
    "DG": "Domain guests",
    "DU": "Domain users",
    "EA": "Enterprise administrators",
    "ED": "Enterprise domain controllers",
    "HI": "High integrity level",
    "IU": "Interactively logged-on user",
    "LA": "Local administrator",
    "LG": "Local guest",
    "LS": "Local service account",
    "LW": "Low integrity level",
    "ME": "Medium integrity level",
    "MU": "Performance Monitor users",
    "NO": "Network configuration operators",
    "NS": "Network service account",
    "NU": "Network logon user",
    "PA": "Group Policy administrators",
    "PO": "Printer operators",
    "PS": "Personal self",
    "PU": "Power users",
    "RC": "Restricted code",
    "RD": "Terminal server users",
    "RE": "Replicator",
    "RO": "Enterprise read-only domain controllers",
    "RS": "RAS servers group",
    "RU": "Alias to allow previous Windows 2000",
    "SA": "Schema administrators",
    "SI": "System integrity level",
    "SO": "Server operators",
    "SU": "Service logon user",
    "SY": "Local system",
    "WD": "Everyone",
    "S-1-1-0": "Everyone",
    "S-1-5-7": "Anonymous logon",
    "S-1-5-11": "Authenticated users",
    "S-1-5-18": "Local system",
    "S-1-5-19": "Local service account",
    "S-1-5-20": "Network service account",
    "S-1-5-32-544": "Built-in administrators",
    "S-1-5-32-545": "Built-in users",
}


def describe(descriptor: str) -> Iterator[tuple[str, str]]:
    """Yields ``Dacl0``, ``Dacl1``, .. and ``Sacl0``, .. with each entry in words."""
    for name, marker, other in (("Dacl", "D:", "S:"), ("Sacl", "S:", "D:")):
        start = _find(descriptor, marker)
        if start < 0:
            continue
        end = _find(descriptor, other)
        part = descriptor[start : end if end > start else None]
        entries = part.split("(", MAX_ENTRIES + 1)[1 : MAX_ENTRIES + 1]
        for number, entry in enumerate(entries):
            text = _entry(entry.partition(")")[0])
            if text:
                yield f"{name}{number}", text


def _find(descriptor: str, marker: str) -> int:
    """Returns where a section begins: at the start, or behind an owner, a group or an entry."""
    if descriptor.startswith(marker):
        return 0
    found = descriptor.find(")" + marker)
    return found + 1 if found >= 0 else descriptor.partition("(")[0].find(marker)


def _entry(entry: str) -> str:
    parts = entry.split(";", 6)
    if len(parts) < 6:
        return ""
    kind, _, rights, _, _, trustee = parts[:6]
    if rights[:2].lower() == "0x":
        words = [rights]
    else:
        pairs = [rights[at : at + 2] for at in range(0, min(len(rights), 64), 2)]
        words = [RIGHTS.get(pair, pair) for pair in pairs if pair]
    who = TRUSTEES.get(trustee, trustee)
    return f"{who} :{ACE_TYPES.get(kind, kind)} ([{', '.join(words)}])"
