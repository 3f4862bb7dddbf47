"""The wiring: which stage reads and writes what, and what it is made of. Nothing else decides that.

collect → samlog.raw.<unit> → normalize → samlog.events → detect → samlog.detections → alerts
                                               │             └→ samlog.matches → correlate ─┘
                                               └→ store ←── samlog.alerts, samlog.dlq
"""

import functools
import importlib
import operator
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from samlog import __version__, configfile
from samlog.address import parse_listen
from samlog.bus.base import Bus, Producer
from samlog.clock import Clock, SystemClock
from samlog.config import (
    ElasticsearchStoreConfig,
    EmbeddedBusConfig,
    KafkaBusConfig,
    Model,
    Settings,
)
from samlog.configfile import Loaded
from samlog.errors import ConfigError
from samlog.event import (
    ALERTS,
    CERT_IN,
    DETECTIONS,
    DLQ,
    EVENTS,
    MATCHES,
    REPLAY,
    raw_topic,
    unit_of_raw,
)
from samlog.loop import Stage
from samlog.metrics import Metrics
from samlog.step import Step
from samlog.store.base import PLATFORM_UNIT, EventStore

if TYPE_CHECKING:
    from alerts.outbox import Outbox
    from alerts.register import Register
    from detect.engine import Engine
    from detect.ledger import Ledger
    from detect.reload import Reloader, RuleSet
    from ingest.collect import Collector

STAGES = ("collect", "normalize", "detect", "correlate", "alerts", "store")
PACKAGES = ("ingest", "normalize", "detect", "alerts")
BUILTIN_RULES = "builtin"
GATHER_S = 0.05
"""A Kafka client hands out what one answer held; few large bulk requests cost a server less."""
Maker = Callable[[Settings, Clock, Metrics], Step]


def settings_model() -> type[Settings]:
    """Returns `Settings` with the sources and sinks that the stages (and plug-ins) offer."""
    from alerts.sink import modules
    from ingest.source import types

    made: type[Settings] = create_model(
        "Settings",
        __base__=Settings,
        sources=(_list_of(list(types().values())), Field(default_factory=list)),
        sinks=(_list_of([m.Config for m in modules().values()]), Field(default_factory=list)),
    )
    return made


def _list_of(models: Sequence[type[Model]]) -> Any:
    """Returns the type "list of one of these, told apart by ``type:``", known at run time only."""
    one: Any = functools.reduce(operator.or_, models)
    by_type = Annotated[one, Field(discriminator="type")]
    return list[by_type] if len(models) > 1 else list[one]


def load_settings(config: str | None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Finds, reads and checks the configuration; raises one `ConfigError` with all problems."""
    loaded = configfile.load(configfile.find(config, environ), settings_model(), environ)
    settings = loaded.settings
    strangers = [s for s in settings.sources if s.unit not in settings.units]
    if strangers:
        raise ConfigError(
            "\n".join(
                f"sources: unit '{s.unit}' is not among units ({', '.join(settings.units)})"
                for s in strangers
            ),
            path=str(loaded.files[0]),
        )
    _check_addresses(settings)
    labels = [sink.label for sink in settings.sinks]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ConfigError(f"sinks: two are called '{twice[0]}'; give each a name: of its own")
    return loaded


def check_parsers(settings: Settings) -> None:
    """Raises `ConfigError` where ``source:`` names no parser: nobody would notice."""
    from normalize.registry import Registry

    wanted = {n: s.source for n, s in enumerate(settings.sources) if s.source}
    known = sorted(Registry().hints()) if wanted else []
    for number, name in wanted.items():
        if name not in known:
            near = get_close_matches(name, known, 1)
            text = f"did you mean '{near[0]}'?" if near else "see: samlog list parsers"
            raise ConfigError(f"sources.{number}.source: no parser is called '{name}'; {text}")


def _check_addresses(settings: Settings) -> None:
    """Raises `ConfigError` where two would listen on one port: none of the sources could start."""
    taken: dict[tuple[str, int], list[tuple[str, str]]] = {}
    listeners = [("http.listen", "tcp", settings.http.listen)]
    for number, one in enumerate(settings.sources):
        address = getattr(one, "listen", None)
        wanted = getattr(one, "protocol", "tcp")
        kinds = ("udp", "tcp") if wanted == "both" else (wanted,)
        listeners += [(f"sources.{number}.listen", kind, address) for kind in kinds if address]
    for key, kind, address in listeners:
        host, port = parse_listen(address)
        for other_host, other_key in taken.setdefault((kind, port), []):
            if port and (host == other_host or {host, other_host} & {"0.0.0.0", "::"}):  # noqa: S104
                raise ConfigError(
                    f"{key} and {other_key} are both {kind.upper()} port {port}; give one another"
                )
        taken[kind, port].append((host, key))


def chosen(stages: Sequence[str]) -> list[str]:
    """Returns the stages to run in order; none named = all. Unknown ones are usage errors."""
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise ConfigError(f"unknown stage '{unknown[0]}'; known: {', '.join(STAGES)}")
    return [stage for stage in STAGES if not stages or stage in stages]


def refuse_foreign_packages() -> None:
    """Stops where another distribution's ``normalize`` (or the like) shadows ours."""
    for name in PACKAGES:
        module = importlib.import_module(name)
        if getattr(module, "PART_OF", None) != "samlog":
            raise ConfigError(
                f"the package '{name}' at {module.__file__} is not samlog's; another distribution "
                "put it there. Install samlog into a virtual environment of its own"
            )


def open_bus(settings: Settings, clock: Clock) -> Bus:
    """Opens the configured bus. Kafka's client is imported only where it is used."""
    bus = settings.bus
    if isinstance(bus, EmbeddedBusConfig):
        from samlog.bus.embedded import EmbeddedBus, Retention

        keep = Retention(max_age_s=settings.retention.bus_hours * 3600.0)
        return EmbeddedBus(
            bus.path, clock=clock, max_record_bytes=bus.max_record_bytes, retention={"": keep}
        )
    from samlog.bus.kafka import KafkaBus
    from samlog.bus.kafka_security import security

    return KafkaBus(
        bus.brokers,
        security=security(bus.tls, bus.sasl),
        partitions=bus.partitions,
        replication=bus.replication,
        min_isr=bus.min_insync,
        max_record_bytes=bus.max_record_bytes,
        retention_hours=settings.retention.bus_hours,
        client_host=socket.gethostname(),
        clock=clock,
    )


def open_store(settings: Settings, clock: Clock, *, writer: bool = False) -> EventStore:
    """Opens the configured event store, for reading or as the one that writes."""
    store = settings.store
    if isinstance(store, ElasticsearchStoreConfig):
        from samlog.store.elastic import ElasticsearchStore

        keep = timedelta(days=settings.retention.events_days)
        units = list(settings.units)
        return ElasticsearchStore.from_config(store, units=units, clock=clock, retention=keep)
    from samlog.store.embedded import EmbeddedStore

    return EmbeddedStore(store.path / "store", clock=clock, writer=writer)


def all_topics(settings: Settings) -> list[str]:
    """Returns every topic of a deployment."""
    raw = [raw_topic(unit) for unit in settings.units]
    return [*raw, REPLAY, EVENTS, DETECTIONS, MATCHES, ALERTS, CERT_IN, DLQ]


def rule_paths(settings: Settings) -> list[Path]:
    """Returns the rule folders of the configuration."""
    return rule_folders(settings.rules)


def rule_folders(names: Sequence[str]) -> list[Path]:
    """Returns rule folders by name; ``builtin`` is samlog's own pack."""
    import detect

    own = Path(detect.__file__).parent / "rules"
    return [own if name == BUILTIN_RULES else Path(name) for name in names]


def stage_topics(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Returns what each stage reads."""
    return {
        "normalize": [*(raw_topic(unit) for unit in settings.units), REPLAY],
        "detect": [EVENTS],
        "correlate": [MATCHES],
        "alerts": [DETECTIONS],
        "store": [EVENTS, ALERTS, DLQ],
    }


def left_behind(settings: Settings, bus: Bus) -> Mapping[str, int]:
    """Returns how many records wait of units that are not in the configuration (any more).

    Nobody reads them, and when ``retention.bus_hours`` are over they are gone.
    """
    owners = {topic: unit_of_raw(topic) for topic in bus.topics()}
    others = [t for t, unit in owners.items() if unit and unit not in settings.units]
    waiting: Counter[str] = Counter()
    for tp, n in (bus.lag("samlog.normalize", others) if others else {}).items():
        waiting[owners[tp.topic] or ""] += n
    return {unit: n for unit, n in sorted(waiting.items()) if n}


def build_stage(
    name: str,
    settings: Settings,
    clock: Clock,
    metrics: Metrics,
    instance: int = 0,
    *,
    finish: bool = False,
) -> Stage:
    """Makes a stage that reads from the bus (all but ``collect``).

    ``finish``: when the input has ended, open correlation windows are closed.
    """
    makers: Mapping[str, tuple[Maker, Sequence[str]]] = {
        "normalize": (_normalize, [EVENTS]),
        "detect": (functools.partial(_detect, instance=instance), [DETECTIONS, MATCHES]),
        "correlate": (
            functools.partial(_correlate, finish=finish, instance=instance),
            [DETECTIONS],
        ),
        "alerts": (_alerts, [ALERTS]),
        "store": (_store, []),
    }
    make, outputs = makers[name]
    topics = stage_topics(settings)[name]
    return Stage(
        step=make(settings, clock, metrics),
        group=f"samlog.{name}",
        topics=topics,
        outputs=outputs,
        member=f"{socket.gethostname()}-{name}-{instance}",
        batch=settings.limits.store_batch if name == "store" else settings.limits.batch,
        gather_s=GATHER_S if name == "store" else 0.0,
        keeps=name == "correlate",
    )


def _normalize(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from normalize.frame import Normalizer
    from normalize.registry import Registry
    from normalize.step import NormalizeStep

    units = {name: unit.defaults.model_dump() for name, unit in settings.units.items()}
    limit = settings.limits.max_event_bytes
    return NormalizeStep(Normalizer(units, Registry(), max_event_bytes=limit))


def _detect(settings: Settings, clock: Clock, metrics: Metrics, *, instance: int) -> Step:
    from detect.step import DetectStep

    rules = load_rule_set(settings)
    metrics.gauge("rules_loaded", len(rules.engine.rules))
    return DetectStep(
        rules,
        clock,
        ledger=_ledger(settings, "detect", instance),
        metrics=metrics,
        time_share=settings.limits.rule_time_share,
    )


def _correlate(
    settings: Settings, clock: Clock, metrics: Metrics, *, finish: bool, instance: int
) -> Step:
    from detect.correlate.correlator import Limits
    from detect.correlate.step import CorrelateStep

    limits = settings.limits
    return CorrelateStep(
        load_rule_set(settings),
        clock,
        metrics=metrics,
        limits=Limits(
            lateness_ms=limits.lateness_hours * 3_600_000,
            matches=limits.correlation_matches,
            groups=limits.correlation_groups,
        ),
        finish=finish,
        ledger=_ledger(settings, "correlate", instance),
    )


def _ledger(settings: Settings, stage: str, instance: int) -> "Ledger":
    from detect.ledger import Ledger, folder

    name = f"{stage}-{instance}.db" if instance else f"{stage}.db"
    return Ledger(folder(settings.state_path) / name)


def _alerts(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from alerts.step import AlertStep

    defaults = {name: unit.defaults for name, unit in settings.units.items()}
    keep = timedelta(days=settings.retention.events_days)
    return AlertStep(settings.state_path, defaults, settings.sinks, clock, metrics, keep)


def _store(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from samlog.store.step import StoreStep

    store = open_store(settings, clock, writer=True)
    return StoreStep(store, clock, list(settings.units))


def keep_house(settings: Settings, clock: Clock, bus: Bus, store: EventStore) -> int:
    """Applies retention to topics and to stored events; returns documents deleted."""
    if isinstance(settings.bus, EmbeddedBusConfig):
        from samlog.bus.embedded import EmbeddedBus

        assert isinstance(bus, EmbeddedBus)
        bus.apply_retention()
    oldest = clock.now() - timedelta(days=settings.retention.events_days)
    return store.delete_before(oldest, [*settings.units, PLATFORM_UNIT])


def describe(settings: Settings) -> str:
    """Returns what is connected to what, for people: ``embedded bus ./data → …``."""
    bus = settings.bus
    where = ", ".join(bus.brokers) if isinstance(bus, KafkaBusConfig) else str(bus.path)
    store = settings.store
    kept = ", ".join(store.urls) if isinstance(store, ElasticsearchStoreConfig) else str(store.path)
    return (
        f"bus {bus.type} ({where}), store {store.type} ({kept}), units {', '.join(settings.units)}"
    )


def system_clock() -> Clock:
    """Returns the machine's clock; commands use it, tests put in their own."""
    return SystemClock()


@contextmanager
def alert_register(settings: Settings) -> Iterator["Register"]:
    """Opens the alerts for people; closes them at the end."""
    from alerts.database import Database
    from alerts.register import Register

    database = Database(settings.state_path)
    try:
        yield Register(database)
    finally:
        database.close()


def check_sinks(settings: Settings) -> list[str]:
    """Asks every sink whether it can be used; returns a sentence for each that cannot."""
    from alerts.sink import open_sink

    problems = []
    for config in settings.sinks:
        sink = open_sink(config)
        problem = sink.check()
        sink.close()
        if problem:
            problems.append(f"sink {config.label}: {problem}")
    return problems


@contextmanager
def alert_outbox(settings: Settings, *, read_only: bool = True) -> Iterator["Outbox"]:
    """Opens what is still to be told to whom. To read it raises `Unavailable` if none ever ran."""
    from alerts.database import Database
    from alerts.outbox import Outbox

    database = Database(settings.state_path, read_only=read_only)
    try:
        yield Outbox(database)
    finally:
        database.close()


def load_rules(settings: Settings) -> "Engine":
    """Loads and compiles the configured rules; what is refused is in its report."""
    from detect.engine import Engine
    from detect.placeholders import read_placeholders

    state = settings.state_path
    # Looking (check, doctor) makes no state folder: it would belong to whoever looked.
    return Engine.load(
        rule_paths(settings),
        cache_dir=state / "cache" if state.is_dir() else None,
        placeholders=read_placeholders(settings.placeholders),
    )


def load_rule_set(settings: Settings) -> "RuleSet":
    """Loads the configured rules and the units' overlays; what is refused is in `refused`."""
    from detect.placeholders import files_of
    from detect.reload import rule_set, version_of

    roots = rule_paths(settings)
    version = version_of(roots, {rule_folders([BUILTIN_RULES])[0]: __version__})
    watched = [*roots, *files_of(settings.placeholders)]
    return rule_set(lambda: load_rules(settings), watched, overlay_paths(settings), version)


def placeholders(
    config: str | None, environ: Mapping[str, str] = os.environ
) -> dict[str, tuple[str, ...]]:
    """Returns the values of ``%name%`` of the configuration; {} where there is none at all.

    For commands that need no configuration otherwise. One that is named must be right.
    """
    from detect.placeholders import read_placeholders

    try:
        found = configfile.find(config, environ)
    except ConfigError:
        if config or environ.get("SAMLOG_CONFIG"):
            raise
        return {}
    return read_placeholders(load_settings(str(found), environ).settings.placeholders)


def overlay_paths(settings: Settings) -> dict[str, Path]:
    """Returns the overlay files of the units that have one."""
    return {name: unit.overlay for name, unit in settings.units.items() if unit.overlay}


def rule_reloader(settings: Settings, step: Step, clock: Clock, metrics: Metrics) -> "Reloader":
    """Returns what gives detect or correlate a new rule set when files change or one asks."""
    from detect.correlate.step import CorrelateStep
    from detect.placeholders import files_of
    from detect.reload import Reloader, Watch
    from detect.step import DetectStep

    assert isinstance(step, DetectStep | CorrelateStep)
    roots = [*rule_paths(settings), *files_of(settings.placeholders)]
    roots += overlay_paths(settings).values()
    watch = Watch(roots, step.rules.stamps, settings.rules_poll_s, clock.monotonic_s())
    return Reloader(step, lambda: load_rule_set(settings), watch, clock, metrics)


@contextmanager
def collector(
    settings: Settings, clock: Clock, metrics: Metrics, instance: int, *, finite: bool
) -> Iterator["Collector"]:
    """Opens the sources of this machine; ``finite`` reads files to their end instead of following.

    Positions are in ``<state>/collect.db`` (a file of its own for each further process).
    """
    from ingest.checkpoint import Checkpoints
    from ingest.collect import Collector
    from ingest.source import Context, open_sources

    name = f"collect-{instance}.db" if instance else "collect.db"
    checkpoints = Checkpoints(settings.state_path / name)
    wake = threading.Event()
    host = socket.gethostname()
    context = Context(
        checkpoints=checkpoints,
        clock=clock,
        collector=host,
        session=f"{host}:{clock.now().timestamp():.6f}",
        count=metrics.count,
        wake=wake,
        finite=finite,
        max_event_bytes=settings.limits.max_event_bytes,
    )
    bus = open_bus(settings, clock)
    raw = [raw_topic(unit) for unit in settings.units]

    def producer() -> Producer:
        bus.create_topics(raw)
        return bus.producer("samlog-collect")

    opened = Collector(
        open_sources(settings.sources, context),
        producer,
        checkpoints,
        clock,
        collector=host,
        wake=wake,
        count=metrics.count,
    )
    try:
        yield opened
    finally:
        opened.close()
        checkpoints.close()
        bus.close()
