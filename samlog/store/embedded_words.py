"""Words of a text field, split where Elasticsearch's ``standard`` analyzer splits them.

That analyzer follows Unicode's word boundaries (UAX #29): ``evil.exe``, ``10.0.0.1``, ``don't`` and
``snake_case`` are one word each, ``a-b`` and ``web1.example`` two. Tantivy's fast tokenizer splits
at everything that is not alphanumeric. So what joins words is replaced by letters that no log has;
as a regular expression inside Tantivy the same costs 100 µs a kilobyte instead of 20.

Not followed: words beyond 255 characters, which Elasticsearch cuts, and the scripts of South-East
Asia, which are written without spaces.
"""

import re
import unicodedata

from samlog.store.fields import caseless

_JOINERS = {
    ".": "\ua4f8",
    ",": "\ua4f9",
    ";": "\ua4fa",
    "\u2019": "\ua4fb",
    "\u00b7": "\ua4fc",
    ":": "\ua4fd",
    "'": "\u02bc",
    "_": "\u02cd",
}
_AS_LETTERS = str.maketrans(_JOINERS)
# The joiner comes first in each: the expression then runs from one to the next.
_DOT = re.compile(r"\.(?:(?<=[^\W\d_]\.)(?=[^\W\d_])|(?<=\d\.)(?=\d))")
_OTHERS = re.compile(
    r"[:'\u2019\u00b7,;](?:(?<=[^\W\d_][:'\u2019\u00b7])(?=[^\W\d_])|(?<=\d[,;'])(?=\d))"
)
_IDEOGRAPH = re.compile(
    "([\u2e80-\u2fdf\u3005-\u3007\u3041-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])"
)


def words_text(text: str) -> str:
    """Returns ``text`` so that splitting it at what is not alphanumeric gives its words."""
    text = caseless(text).replace("_", _JOINERS["_"])
    if not text.isascii():
        text = _IDEOGRAPH.sub(r" \1 ", unicodedata.normalize("NFC", text))
    text = _DOT.sub(_JOINERS["."], text)
    return _OTHERS.sub(lambda found: _JOINERS[found[0]], text)


def within_word(text: str) -> str:
    """Returns a part of one word, as the index has it."""
    return caseless(text).translate(_AS_LETTERS)


def joiners_within(low: str, high: str) -> list[str]:
    """Returns what the index has for the joiners from ``low`` to ``high``."""
    return [letter for joiner, letter in _JOINERS.items() if low <= joiner <= high]
