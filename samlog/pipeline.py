"""The wiring: which stage reads and writes what, and what it is made of. Nothing else decides that.

collect → samlog.raw.<unit> → normalize → samlog.events → detect → samlog.detections → alerts
                                               └→ store ←── samlog.alerts, samlog.dlq
"""

import importlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field, create_model

from samlog import configfile
from samlog.bus.base import Bus
from samlog.clock import Clock, SystemClock
from samlog.config import (
    ElasticsearchStoreConfig,
    EmbeddedBusConfig,
    KafkaBusConfig,
    Settings,
)
from samlog.configfile import Loaded
from samlog.errors import ConfigError
from samlog.event import ALERTS, CERT_IN, DETECTIONS, DLQ, EVENTS, MATCHES, raw_topic
from samlog.loop import Stage
from samlog.metrics import Metrics
from samlog.step import Step
from samlog.store.base import EventStore

if TYPE_CHECKING:
    from detect.engine import Engine

    from alerts.register import Register

STAGES = ("collect", "normalize", "detect", "alerts", "store")
PACKAGES = ("ingest", "normalize", "detect", "alerts")
BUILTIN_RULES = "builtin"


def settings_model() -> type[Settings]:
    """Returns `Settings` with the sources and sinks that the stages (and plug-ins) offer."""
    from alerts.sink import modules
    from ingest.source import types

    sources = tuple(types().values())
    sinks = tuple(module.Config for module in modules().values())
    by_type = Field(discriminator="type")
    made: type[Settings] = create_model(
        "Settings",
        __base__=Settings,
        sources=(list[Annotated[Union[sources], by_type]], Field(default_factory=list)),  # noqa: UP007
        sinks=(list[Annotated[Union[sinks], by_type]], Field(default_factory=list)),  # noqa: UP007
    )
    return made


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
    labels = [sink.label for sink in settings.sinks]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ConfigError(f"sinks: two are called '{twice[0]}'; give each a name: of its own")
    return loaded


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
    from samlog.bus.kafka import KafkaBus, security

    return KafkaBus(
        bus.brokers,
        security=security(bus.tls, bus.sasl),
        partitions=bus.partitions,
        replication=bus.replication,
        min_isr=bus.min_insync,
        max_record_bytes=bus.max_record_bytes,
        retention_s=settings.retention.bus_hours * 3600,
    )


def open_store(settings: Settings, clock: Clock, *, writer: bool = False) -> EventStore:
    """Opens the configured event store, for reading or as the one that writes."""
    store = settings.store
    if isinstance(store, ElasticsearchStoreConfig):
        from samlog.store.elastic import ElasticsearchStore

        return ElasticsearchStore.from_config(store, units=list(settings.units), clock=clock)
    from samlog.store.embedded import EmbeddedStore

    return EmbeddedStore(store.path / "store", clock=clock, writer=writer)


def all_topics(settings: Settings) -> list[str]:
    """Returns every topic of a deployment."""
    raw = [raw_topic(unit) for unit in settings.units]
    return [*raw, EVENTS, DETECTIONS, MATCHES, ALERTS, CERT_IN, DLQ]


def rule_paths(settings: Settings) -> list[Path]:
    """Returns the rule folders of the configuration; ``builtin`` is samlog's own pack."""
    import detect

    own = Path(detect.__file__).parent / "rules"
    return [own if rule == BUILTIN_RULES else Path(rule) for rule in settings.rules]


def build_stage(
    name: str, settings: Settings, clock: Clock, metrics: Metrics, instance: int = 0
) -> Stage:
    """Makes a stage that reads from the bus (all but ``collect``)."""
    makers: Mapping[str, tuple[Callable[[Settings, Clock, Metrics], Step], Sequence[str]]] = {
        "normalize": (_normalize, [raw_topic(unit) for unit in settings.units]),
        "detect": (_detect, [EVENTS]),
        "alerts": (_alerts, [DETECTIONS]),
        "store": (_store, [EVENTS, ALERTS, DLQ]),
    }
    make, topics = makers[name]
    return Stage(
        step=make(settings, clock, metrics),
        group=f"samlog.{name}",
        topics=topics,
        member=f"{socket.gethostname()}-{name}-{instance}",
        batch=settings.limits.batch,
    )


def _normalize(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from normalize.frame import Normalizer
    from normalize.registry import Registry
    from normalize.step import NormalizeStep

    units = {name: unit.defaults.model_dump() for name, unit in settings.units.items()}
    limit = settings.limits.max_event_bytes
    return NormalizeStep(Normalizer(units, Registry(), max_event_bytes=limit))


def _detect(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from detect.step import DetectStep

    engine = load_rules(settings)
    metrics.gauge("rules_loaded", len(engine.rules))
    return DetectStep(engine, clock)


def _alerts(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from alerts.step import AlertStep

    defaults = {name: unit.defaults for name, unit in settings.units.items()}
    return AlertStep(settings.state_path, defaults, settings.sinks, clock, metrics)


def _store(settings: Settings, clock: Clock, metrics: Metrics) -> Step:
    from samlog.store.step import StoreStep

    store = open_store(settings, clock, writer=True)
    store.setup(list(settings.units))
    return StoreStep(store, clock)


def keep_house(settings: Settings, clock: Clock, bus: Bus, store: EventStore) -> int:
    """Applies retention to topics and to stored events; returns documents deleted."""
    if isinstance(settings.bus, EmbeddedBusConfig):
        from samlog.bus.embedded import EmbeddedBus

        assert isinstance(bus, EmbeddedBus)
        bus.apply_retention()
    oldest = clock.now() - timedelta(days=settings.retention.events_days)
    return store.delete_before(oldest, list(settings.units))


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


def load_rules(settings: Settings) -> "Engine":
    """Loads and compiles the configured rules; what is refused is in its report."""
    from detect.engine import Engine

    return Engine.load(rule_paths(settings), cache_dir=settings.state_path / "cache")
