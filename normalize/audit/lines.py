"""Which lines of the audit system belong together, in its log and in what ausearch prints."""

from normalize.audit.interpreted import head_of, is_interpreted

AUDIT_LINES = ("type=", "node=", "----\ntype=", "----\nnode=", "----\ntime->")
"""How lines of audit.log begin, also behind what ausearch writes before each event."""
_BEFORE = ("----", "time->")


def stamp_of(line: str) -> str:
    """Returns what the records of one event share, "" for a line without an audit id."""
    head = head_of(line)
    if head is None:
        return ""
    if is_interpreted(head):
        return f"{head['date']} {head['clock']}.{head['ms']}:{head['serial']}|{head['node'] or ''}"
    return f"{head['s']}.{head['fraction']}:{head['serial']}|{head['node'] or ''}"


def by_audit_id(text: str) -> list[str]:
    """Returns the lines of audit.log in ``text``, those of one event together, in their order.

    A line without an audit id belongs to the line before it; ausearch's separator, with the time
    that may stand below it, to the line behind it.
    """
    events: dict[str, list[str]] = {}
    stamp, before = "", list[str]()
    for line in text.rstrip("\n").split("\n"):
        if line.startswith(_BEFORE):
            before.append(line)
            continue
        stamp = stamp_of(line) or stamp
        events.setdefault(stamp, []).extend([*before, line])
        before = []
    if before:
        events.setdefault(stamp, []).extend(before)
    return ["\n".join(lines) for lines in events.values()]
