"""Run by the Python that has zargunlite: every rule as SQL over the events, hits and seconds.

    python zargunlite_run.py RULES EVENTS

Neither loading the rules nor writing them as SQL is counted; filling the table is, since an event
cannot be asked before.
"""

import json
import sys
import time
from pathlib import Path

from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from zargunlite.core import ZargunCore
from zargunlite.model import ZircoliteRule


def queries(rules: Path) -> tuple[list[ZircoliteRule], int]:
    """Returns what can be written as SQL, and how many rules were given."""
    backend = sqliteBackend()
    found, given = [], 0
    for path in sorted(rules.rglob("*.yml")):
        try:
            collection = SigmaCollection.from_yaml(path.read_text("utf-8"))
            given += 1
            sql = [query.replace("<TABLE_NAME>", "logs") for query in backend.convert(collection)]
        except (SigmaError, NotImplementedError, ValueError, TypeError):
            continue
        found.append(ZircoliteRule(title=path.stem, rule=sql))
    return found, given


def flat(event: dict[str, object]) -> dict[str, object]:
    return {
        key: value if isinstance(value, (str, int, float)) else json.dumps(value)
        for key, value in event.items()
    }


def main(rules: Path, events: Path) -> None:
    asked, given = queries(rules)
    lines = events.read_bytes().splitlines()
    started = time.process_time()
    rows = [flat(json.loads(line)) for line in lines]
    hits = 0
    with ZargunCore() as core:
        core.load_data(rows, strict_field_name=False)
        for rule in asked:
            hits += core.execute_zircolite_rule(rule).count
    seconds = time.process_time() - started
    told = {"rules": len(asked), "given": given, "events": len(lines), "hits": hits}
    print(json.dumps(told | {"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
