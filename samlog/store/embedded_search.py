"""Questions over all days of the embedded store."""

import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import orjson
import tantivy

from samlog.errors import ConfigError
from samlog.store.base import Bucket, Hit, Page, Query, check_dataset
from samlog.store.embedded_day import Candidate, DayReader, Found, Position
from samlog.store.embedded_letters import is_cut
from samlog.store.embedded_query import all_of
from samlog.store.embedded_terms import date_text, long_key, prefix, shown
from samlog.store.fields import Kind, kind
from samlog.store.query import PEOPLE, RULES, check_countable, parse
from samlog.store.query_tree import Node

Days = Mapping[date, DayReader]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def search(days: Days, query: Query, *, limit: int, cursor: str, newest_first: bool) -> Page:
    """Returns one page of hits over all days."""
    order = "desc" if newest_first else "asc"
    after = _read_cursor(cursor, order) if cursor else None
    found: list[Found] = []
    candidates: list[tuple[Candidate, DayReader]] = []
    total = 0
    for reader, wanted in _each(days, query):
        total += reader.count(wanted)
        if after is not None:
            found += reader.same(wanted, after)
        first = reader.first(wanted, limit + 1, after, newest_first=newest_first)
        candidates += [(candidate, reader) for candidate in first]
    if after is not None:
        found = [one for one in found if _is_beyond(one.position, after, newest_first)]
    found += _read(candidates, limit + 1, newest_first)
    found.sort(key=lambda one: one.position, reverse=newest_first)
    hits = [_hit(one, order) for one in found[:limit]]
    more = bool(hits) and len(found) > limit
    return Page(hits, total, hits[-1].cursor if more else "")


def _is_beyond(position: Position, after: Position, newest_first: bool) -> bool:
    return position < after if newest_first else position > after


def _read(
    candidates: list[tuple[Candidate, DayReader]], limit: int, newest_first: bool
) -> Iterator[Found]:
    """Reads the first ``limit`` candidates of all days, and those that equal the last one."""
    candidates.sort(key=lambda pair: pair[0][:2], reverse=newest_first)
    end = len(candidates)
    if end > limit:
        last = candidates[limit - 1][0][:2]
        end = limit
        while end < len(candidates) and candidates[end][0][:2] == last:
            end += 1
    by_reader: dict[DayReader, list[tantivy.DocAddress]] = {}
    for candidate, reader in candidates[:end]:
        by_reader.setdefault(reader, []).append(candidate.address)
    for reader, addresses in by_reader.items():
        yield from reader.read(addresses)


def _hit(one: Found, order: str) -> Hit:
    cursor = base64.urlsafe_b64encode(orjson.dumps([order, *one.position])).decode()
    return Hit(one.stored.stream, one.stored.id, orjson.loads(one.stored.source), cursor)


def _read_cursor(cursor: str, order: str) -> Position:
    try:
        its_order, timestamp_ms, id_, stream = orjson.loads(base64.urlsafe_b64decode(cursor))
        position = Position(int(timestamp_ms), str(id_), str(stream))
    except (binascii.Error, ValueError, TypeError) as problem:
        raise ConfigError("the cursor is damaged: take it from a page as it is") from problem
    if its_order != order:
        raise ConfigError("the cursor is of a search in the other order")
    return position


def count(days: Days, query: Query) -> int:
    """Returns the exact number of hits over all days."""
    return sum(reader.count(wanted) for reader, wanted in _each(days, query))


def terms(days: Days, query: Query, field: str, *, size: int) -> Sequence[Bucket]:
    """Returns the most frequent values over all days, as they were written."""
    check_countable(field)
    counts: Counter[tuple[str, str]] = Counter()
    cut: dict[str, DayReader] = {}
    path = prefix(field)
    its = kind(field)
    is_word = its in (Kind.KEYWORD, Kind.FLATTENED)
    for reader, wanted in _each(days, query):
        if field == "@timestamp":
            for moment, number in reader.times(wanted, 1):
                counts[long_key(moment), date_text(moment)] += number
            continue
        for term, number in reader.terms(path, wanted):
            if number:
                value = shown(its, term[len(path) :])
                if is_cut(term):
                    cut[term] = reader
                # Numbers of one count come in the order of numbers.
                counts[value if is_word and term not in cut else term, value] += number
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        Bucket(cut[key].written(key, field) or value if key in cut else value, number)
        for (key, value), number in ordered[:size]
    ]


def histogram(days: Days, query: Query, *, interval_s: int) -> Sequence[Bucket]:
    """Returns counts per interval over all days, oldest first."""
    if interval_s < 1:
        raise ConfigError(f"an interval is at least one second, not {interval_s}")
    counts: Counter[int] = Counter()
    for reader, wanted in _each(days, query):
        for start, number in reader.times(wanted, interval_s * 1000):
            counts[start] += number
    return [Bucket(date_text(start), number) for start, number in sorted(counts.items())]


def _each(days: Days, query: Query) -> Iterator[tuple[DayReader, tantivy.Query]]:
    """Yields each day with the query as it is there, the units and the times in it."""
    node = parse(query.text, RULES if query.from_rule else PEOPLE)
    if not query.units:
        return
    for reader in days.values():
        yield reader, _wanted(reader, node, query)


def _wanted(reader: DayReader, node: Node, query: Query) -> tantivy.Query:
    translator = reader.translator
    parts = [translator.query(node), reader.units(query.units)]
    if query.streams:
        for name in query.streams:
            check_dataset(name)
        names = [f"logs-{name}-{unit}" for name in query.streams for unit in query.units]
        parts.append(reader.streams(names))
    if query.since is not None or query.until is not None:
        first = None if query.since is None else -((_EPOCH - query.since) // _MS)
        last = None if query.until is None else -((_EPOCH - query.until) // _MS) - 1
        parts.append(translator.time_range(first, last))
    return all_of(parts)
