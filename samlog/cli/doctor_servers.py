"""The checks of `samlog doctor` that ask the bus and the store."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from samlog import pipeline, status
from samlog.bus.embedded_errors import DamagedTopic
from samlog.cli.finding import Check, Finding, Surroundings, exit_of
from samlog.config import EmbeddedBusConfig, KafkaBusConfig
from samlog.errors import ConfigError, Exit, SamlogError, Unavailable
from samlog.replay import Handled
from samlog.slot import holder
from samlog.store.base import StoreHealth

CLOCK_OFF_S = 10.0
LAG_RECORDS = 10_000


def check_bus(around: Surroundings) -> Iterator[Finding]:
    """The bus: reached, logged in, whole, every topic there."""
    bus = around.settings.bus
    yield from _damage(around)
    try:
        present = around.bus().topics()
        around.bus().end_offsets(sorted(present & set(pipeline.all_topics(around.settings))))
    except SamlogError as error:
        yield Finding("bus", str(error), _bus_step(around, error), exit_of(error))
        return
    missing = sorted({t for ts in _read_topics(around).values() for t in ts} - present)
    if missing and isinstance(bus, KafkaBusConfig):
        what = f"{len(missing)} topics are missing: {', '.join(missing[:5])}"
        yield Finding("bus", what, "samlog setup", Exit.FAILED)
    else:
        yield Finding("bus", f"{bus.type}: reached, {len(present)} topics")


def _bus_step(around: Surroundings, error: SamlogError) -> str:
    if isinstance(error, DamagedTopic):
        return "stop all of samlog here, then: samlog run (it rebuilds the topic first)"
    if isinstance(error, ConfigError):
        return "correct bus: in the configuration; then: samlog check --connect"
    if isinstance(around.settings.bus, EmbeddedBusConfig):
        return "see the cause; then: samlog doctor"
    return "start the broker, or correct bus.brokers; then: samlog doctor"


def check_backlog(around: Surroundings) -> Iterator[Finding]:
    """Stages that are far behind, and dead letters that wait for people."""
    try:
        present = around.bus().topics()
        yield from _lag(around, present)
        yield from _left_behind(around)
        yield from _dead_letters(around)
    except (Unavailable, ConfigError, DamagedTopic):
        return  # check_bus has told


def _read_topics(around: Surroundings) -> dict[str, Sequence[str]]:
    return dict(pipeline.stage_topics(around.settings))


def _damage(around: Surroundings) -> Iterator[Finding]:
    """Topics of the embedded bus that were found damaged, mended or not."""
    bus = around.settings.bus
    if not isinstance(bus, EmbeddedBusConfig):
        return
    for kept in sorted(Path(bus.path, "bus").glob("*.damaged-*")):
        if kept.suffix not in (".sqlite-wal", ".sqlite-shm"):
            what = f"a topic was damaged and rebuilt; the damaged file is kept as {kept}"
            step = f"look at the disk (dmesg, smartctl); when done with it: rm {kept}"
            yield Finding("bus", what, step, Exit.FAILED)


def _lag(around: Surroundings, present: frozenset[str]) -> Iterator[Finding]:
    """Stages that are behind."""
    kafka = isinstance(around.settings.bus, KafkaBusConfig)
    for stage, topics in _read_topics(around).items():
        there = [topic for topic in topics if topic in present]
        behind = sum(around.bus().lag(f"samlog.{stage}", there).values()) if there else 0
        if behind <= LAG_RECORDS:
            yield Finding("lag", f"stage {stage}: {behind:,} records to do")
            continue
        step = f"samlog run {stage}"
        if holder(around.settings.state_path, stage):
            more = f"start one more process: samlog run {stage}"
            step = more if kafka else "it runs and catches up; on Kafka more processes would help"
        what = f"stage {stage} is {behind:,} records behind"
        yield Finding("lag", what, step, Exit.FAILED)


def _left_behind(around: Surroundings) -> Iterator[Finding]:
    """Records of units that were taken out of the configuration with work left to do."""
    for unit, count in pipeline.left_behind(around.settings, around.bus()).items():
        what = f"{count:,} records of unit '{unit}' wait, and units: in the config has no '{unit}'"
        step = f"put '{unit}' back below units: until samlog doctor says that none is left"
        yield Finding("lag", what, step, Exit.FAILED)


def _dead_letters(around: Surroundings) -> Iterator[Finding]:
    """Dead letters that nobody has replayed or dropped."""
    if not around.settings.state_path.exists():
        return
    with closing(Handled(around.settings.state_path)) as handled:
        waiting = handled.waiting(around.bus())
    if waiting:
        step = "samlog dlq ls; then: samlog dlq replay, or samlog dlq drop"
        what = f"{waiting:,} dead letters wait for somebody to look at them"
        yield Finding("dlq", what, step, Exit.FAILED)


def check_store(around: Surroundings) -> Iterator[Finding]:
    """The event store: reached, whole, templates as this release writes them, clock alike."""
    try:
        store = pipeline.open_store(around.settings, around.clock)
    except SamlogError as error:
        yield Finding("store", str(error), "correct store: in the config", exit_of(error))
        return
    with closing(store):
        health = store.check()
        for problem in health.problems:
            yield _store_problem(problem, health)
        if not health.problems:
            yield Finding("store", f"{around.settings.store.type} {health.version}: reached")
            if around.doubles and (find := getattr(store, "find_doubles", None)):
                for unit in around.settings.units:
                    yield _doubles(unit, len(find(unit)))
    yield from _clock(around, health.detail.get("server_time"))


def _store_problem(problem: str, health: StoreHealth) -> Finding:
    if "(401)" in problem or "(403)" in problem:
        step = "correct the user or key below store:; then: samlog check --connect"
        return Finding("store", problem, step, Exit.CONFIG)
    if not health.reachable:
        step = "start Elasticsearch, or correct store.urls; then: samlog doctor"
        return Finding("store", problem, step, Exit.UNAVAILABLE)
    step = "see the cause; then: samlog doctor"
    if "samlog setup" in problem:
        step = "samlog setup"
    elif "damaged" in problem:
        step = "stop samlog, move it away, samlog run, then: samlog dlq replay --raw"
    return Finding("store", problem, step, Exit.FAILED)


def _doubles(unit: str, count: int) -> Finding:
    if not count:
        return Finding("store", f"{unit}: no event is stored twice")
    what = f"{unit}: {count:,} events are stored twice (a repeat just after a rollover)"
    return Finding("store", what, "harmless to alerts; they go with retention", Exit.FAILED)


def _clock(around: Surroundings, server_time: float | None) -> Iterator[Finding]:
    """This machine's clock against the store's, or against what was written here earlier."""
    now = around.clock.now().timestamp()
    states = status.read_all(around.settings.state_path).values()
    latest = max((float(state["at"]) for state in states), default=None)
    other, who = (server_time, "Elasticsearch") if server_time else (latest, "samlog's last run")
    if other is None:
        return
    ahead = other - now
    if ahead > CLOCK_OFF_S or (server_time and ahead < -CLOCK_OFF_S):
        direction = "behind" if ahead > 0 else "ahead of"
        what = f"this machine's clock is {abs(ahead):.0f} s {direction} {who}"
        step = "timedatectl set-ntp true; then: timedatectl status"
        yield Finding("clock", what, step, Exit.FAILED)
    else:
        yield Finding("clock", f"agrees with {who}")


CHECKS: Sequence[Check] = (check_bus, check_backlog, check_store)
