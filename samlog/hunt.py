"""A query made of a rule, run over stored events; what it finds is asked of the rule again.

A search cannot say everything that a rule can (the case of letters in the embedded store, values
too long to be indexed, two fields compared), so its query may be wider than the rule
(`detect.search.wide`). The rule itself decides about each event that it brings: a hunt finds what
the stream would have found.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from samlog.event import Event
from samlog.store.base import EventStore, Hit, Query

PAGE = 1_000
"""Events read at once."""


@dataclass(slots=True)
class Hunt:
    """One rule's way through the store: how many events its query brought, and how many it meant.

    ``total`` is the number of events that the query stands for, once the first page was read.
    """

    store: EventStore
    query: Query
    fires: Callable[[Event], bool]
    total: int = 0
    candidates: int = 0
    hits: int = 0

    def found(self, limit: int = 0) -> Iterator[Hit]:
        """Yields the events on which the rule fires, newest first; at most ``limit``, 0 = all.

        Raises what `EventStore.search` raises.
        """
        asked = replace(self.query, from_rule=True)
        cursor = ""
        while True:
            page = self.store.search(asked, limit=PAGE, cursor=cursor)
            self.total = self.total or page.total
            for hit in page.hits:
                self.candidates += 1
                if self.fires(hit.source):
                    self.hits += 1
                    yield hit
                    if self.hits == limit:
                        return
            cursor = page.cursor
            if not cursor:
                return
