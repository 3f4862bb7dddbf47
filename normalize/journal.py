"""The journal export format (systemd.io/JOURNAL_EXPORT_FORMATS): entries as ``FIELD=value`` lines.

Binary values are a line with the field's name, eight bytes of length, the bytes and a line break.
Entries are apart by an empty line. Read from the bytes, since a binary value may hold anything.
"""

from collections.abc import Iterator

MAX_FIELDS = 512
"""Fields read of one entry; journald itself allows 1,024."""
BEGINNINGS = (b"__CURSOR=", b"__REALTIME_TIMESTAMP=")


def is_export(data: bytes) -> bool:
    """Tells whether ``data`` begins like the first entry of an export."""
    return data.startswith(BEGINNINGS) and b"\nMESSAGE" in data


def entries(data: bytes) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Yields (the entry's own bytes, its fields), at least one; of a repeated field the first.

    A length that reaches beyond the end takes what there is.
    """
    at, begin = 0, 0
    fields: dict[str, str] = {}
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end]
        if not line:
            if fields:
                yield data[begin:at].rstrip(b"\n"), fields
            fields, at = {}, end + 1
            begin = at
            continue
        name, separator, value = line.partition(b"=")
        at = end + 1
        if not separator:
            length = int.from_bytes(data[at : at + 8], "little")
            value = data[at + 8 : at + 8 + length]
            at = min(at + 8 + length + 1, len(data))
        if len(fields) < MAX_FIELDS and len(name) <= 64:
            fields.setdefault(name.decode("ascii", "replace"), _text(value))
    if fields:
        yield data[begin:].rstrip(b"\n"), fields


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")
