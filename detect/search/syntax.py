"""How Lucene's query syntax writes names, values and groups."""

import re
from collections.abc import Sequence

from samlog.errors import RuleError

EVERYTHING = "*:*"
NOTHING = "(NOT *:*)"

_PLAIN = re.compile(r"[^\w]", re.ASCII)
_NAME = re.compile(r"[^\w.@]", re.ASCII)


def joined(parts: Sequence[str], word: str) -> str:
    """Returns ``(a OR b)``; a single part stays as it is."""
    return parts[0] if len(parts) == 1 else f"({f' {word} '.join(parts)})"


def name_text(field: str) -> str:
    """Returns a field's name as it stands in a query."""
    return _NAME.sub(r"\\\g<0>", field)


def quoted(text: str) -> str:
    """Returns a whole value in quotation marks."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_gaps(text: str) -> str:
    """Returns a literal as a part of a wildcard term."""
    return _PLAIN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    # Letters beyond ASCII are plain, and behind a backslash would not be put into lower case.
    return found[0] if found[0].isalnum() else f"\\{found[0]}"


_OPERATIONS = {
    "ref": "compared with another field",
    "cmp": "compared by size",
    "part": "asked for a part of a time",
    "re": "matched by a regular expression",
}


def not_searchable(what: str, op: str) -> RuleError:
    """Returns the refusal of a test: ``what`` cannot be asked ``op``."""
    how = _OPERATIONS.get(op, "searched in this way")
    return RuleError(f"{what} cannot be {how} in a search", reason="not_searchable")
