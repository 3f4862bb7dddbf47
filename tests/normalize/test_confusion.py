"""Sources are told from content alone: nobody reads another's samples who should not."""

from normalize.confusion import confusion
from normalize.samples_update import normalizer

GENERIC = frozenset(("json", "text", "syslog", "journald", "pam", "linux_auth"))
"""What holds lines of other sources by its nature."""


def test_samples_are_read_by_their_own_parser_though_nobody_says_what_they_are() -> None:
    wrong = {
        name: dict(chosen)
        for name, chosen in confusion(normalizer()).items()
        if name not in GENERIC and chosen.keys() != {name}
    }
    assert wrong == {}
