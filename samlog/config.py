"""The configuration's shape: one YAML file (or a folder of them), environment above it.

Reading and explaining it is `samlog.configfile`. Types of sources and sinks are added by the
stages that own them (`samlog.pipeline.load_settings`).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from samlog.address import Listen, Url
from samlog.store.base import PLATFORM_UNIT

UNIT_PATTERN = r"^[a-z][a-z0-9]{0,29}$"
PLACEHOLDER_PATTERN = r"^[^%\s]{1,100}$"
PlaceholderName = Annotated[str, Field(pattern=PLACEHOLDER_PATTERN)]
PlaceholderValues = list[Annotated[str, Field(min_length=1)]]
UnitName = Annotated[str, Field(pattern=UNIT_PATTERN)]
MIB = 1 << 20


class Model(BaseModel):
    """Base of every configuration object: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Tls(Model):
    ca_file: Path | None = None
    """Certificate authority that signed the server's certificate; default: the system's."""
    cert_file: Path | None = None
    """Our own certificate (PEM), where the server asks for one."""
    key_file: Path | None = None
    """Private key of ``cert_file``."""
    check_hostname: bool = True
    """Whether the server's certificate must name the host that we connect to."""


class Sasl(Model):
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """How we prove who we are; PLAIN only together with ``tls``."""
    username: str
    """Who we are: the principal that the broker's ACLs name."""
    password_file: Path
    """File that holds the password and nothing else; a final newline is taken off."""


class EmbeddedBusConfig(Model):
    """Topics as SQLite files on this machine; one process a stage."""

    type: Literal["embedded"] = "embedded"
    path: Path = Path("./data")
    """Folder on a local disk (not NFS); the topics are below ``bus/`` in it."""
    max_record_bytes: int = Field(default=16 * MIB, ge=64 * 1024, le=256 * MIB)
    """Largest record that is taken."""


class KafkaBusConfig(Model):
    """Topics on a Kafka cluster; as many processes a stage as wanted."""

    type: Literal["kafka"]
    brokers: list[str] = Field(min_length=1)
    """``host:port`` of one or more brokers."""
    tls: Tls | None = None
    """Encrypts; ``tls: {}`` takes the system's authorities."""
    sasl: Sasl | None = None
    """Logs in."""
    partitions: int = Field(default=6, ge=1, le=1000)
    """Partitions of topics that samlog creates; fixed at creation."""
    replication: int = Field(default=1, ge=1, le=9)
    """Copies of topics that samlog creates; 3 where there are three brokers."""
    min_insync: int = Field(default=1, ge=1, le=9)
    """Copies that must have a record before it counts as written; 2 with three brokers."""
    max_record_bytes: int = Field(default=16 * MIB, ge=64 * 1024, le=256 * MIB)
    """Largest record that is taken; the topics' ``max.message.bytes`` fits it."""


class EmbeddedStoreConfig(Model):
    """Events in Tantivy indices on this machine."""

    type: Literal["embedded"] = "embedded"
    path: Path = Path("./data")
    """Folder on a local disk; the indices are below ``store/`` in it."""


class ElasticsearchStoreConfig(Model):
    """Events in data streams of an Elasticsearch 8 or 9."""

    type: Literal["elasticsearch"]
    urls: list[Url] = Field(min_length=1)
    """Addresses of nodes: ``https://es1:9200``."""
    api_key_file: Path | None = None
    """File that holds the encoded API key; wins over ``username``."""
    username: str | None = None
    """User that samlog writes and reads as."""
    password_file: Path | None = None
    """File that holds the user's password and nothing else."""
    ca_file: Path | None = None
    """Certificate authority that signed the servers' certificates; default: the system's."""
    connections: int = Field(default=4, ge=1, le=64)
    """Bulk requests under way at once."""


class UnitDefaults(Model):
    """What an alert says where no registry knows better; never invented in code."""

    municipality: str = "unknown"
    """Controller of the data; becomes ``organization.id``."""
    zone: Literal["intern", "sikker", "dmz", "ekstern", "unknown"] = "unknown"
    """Network zone."""
    environment: str = "unknown"
    """prod, preprod or test."""
    system: str = "unknown"
    """Name of the system that the logs are about."""
    layer: str = "unknown"
    """Layer of the system, in the unit's own words."""
    accountable: str = "unknown"
    """Who has to act on an alert."""
    life_and_health: bool = False
    """Whether life or health depends on it; raises the priority of alerts."""


class Unit(Model):
    title: str = ""
    """Name for people."""
    defaults: UnitDefaults = UnitDefaults()
    """What alerts and events of this unit say where nothing else does."""
    overlay: Path | None = None
    """YAML file of what this unit changes about the common rules: disable, exception, level."""


class Retention(Model):
    events_days: int = Field(default=400, ge=1, le=3660)
    """Whole days of receipt kept in the store; alerts keep so long which firings of correlations
    they are made of."""
    bus_hours: int = Field(default=72, ge=1, le=24 * 366)
    """How long topics keep what every group has read."""


class Limits(Model):
    max_event_bytes: int = Field(default=MIB, ge=1024, le=16 * MIB)
    """A longer line is cut here, tagged ``truncated``, and the cut bytes are counted."""
    batch: int = Field(default=1000, ge=1, le=20_000)
    """Messages a stage takes at once."""
    store_batch: int = Field(default=5000, ge=1, le=20_000)
    """Messages that the store stage takes at once when it is behind; large requests are cheaper."""
    lateness_hours: int = Field(default=26, ge=1, le=24 * 31)
    """A match that comes so much behind the others still counts in correlations; it is kept so
    long."""
    correlation_matches: int = Field(default=1_000_000, ge=1_000)
    """Matches that one correlation keeps in a process; beyond it the oldest are forgotten, which
    is counted and said."""
    correlation_groups: int = Field(default=250_000, ge=100)
    """Groups that one correlation keeps in a process."""
    dead_letters_per_minute: int = Field(default=600, ge=1)
    """Per (unit, source); beyond it the source is marked and alarmed, nothing is dropped."""
    rule_time_share: float = Field(default=0.25, gt=0, le=1)
    """Share of one core that a single slow rule may take over a minute; above it the rule is asked
    no more and that is alarmed. 1: never."""


class Http(Model):
    listen: Listen = "127.0.0.1:9600"
    """Where /metrics, /livez and /readyz answer; port 0 takes a free one."""


class Settings(BaseSettings):
    """The whole configuration. `sources` and `sinks` hold the stages' own models."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="SAMLOG_",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    bus: Annotated[EmbeddedBusConfig | KafkaBusConfig, Field(discriminator="type")] = (
        EmbeddedBusConfig()
    )
    """Where topics are: SQLite files here, or a Kafka cluster."""
    store: Annotated[
        EmbeddedStoreConfig | ElasticsearchStoreConfig, Field(discriminator="type")
    ] = EmbeddedStoreConfig()
    """Where events are searched: Tantivy indices here, or Elasticsearch."""
    units: dict[UnitName, Unit] = Field(default_factory=dict)
    """Who owns the logs; a name is a-z and 0-9, starts with a letter and has at most 30."""
    sources: list[Any] = Field(default_factory=list)
    """Where logs come from; see below."""
    rules: list[str] = ["builtin"]
    """Folders or files of Sigma rules; ``builtin`` is samlog's own pack."""
    rules_poll_s: float = Field(default=10.0, ge=0, le=86_400)
    """How often rule files and overlays are looked at for changes; 0: only on SIGHUP."""
    placeholders: dict[PlaceholderName, PlaceholderValues | Path] = Field(default_factory=dict)
    """Values of ``%name%`` in rules with ``|expand``: a list, or a text file with one a line."""
    sinks: list[Any] = Field(default_factory=list)
    """Where alerts go; see below."""
    retention: Retention = Retention()
    """How long things are kept; applied every ten minutes by the store stage."""
    limits: Limits = Limits()
    """What one event, one batch and one source may take."""
    http: Http = Http()
    """Health and metrics."""
    state: Path | None = None
    """Checkpoints, alert state, crash notes. Default: the embedded bus's or store's path."""

    @field_validator("units")
    @classmethod
    def _at_least_one_unit(cls, units: dict[str, Unit]) -> dict[str, Unit]:
        if not units:
            raise ValueError("at least one unit is needed, e.g. units: {enheda: {title: Enhed A}}")
        if PLATFORM_UNIT in units:
            raise ValueError(
                f"a unit cannot be called '{PLATFORM_UNIT}': under that name samlog keeps what "
                "belongs to no unit, or to several; choose another name"
            )
        return units

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Takes values from the caller only: `samlog.configfile` merges, to know the origin."""
        return (init_settings,)

    @property
    def state_path(self) -> Path:
        """The folder for checkpoints, alert state and crash notes."""
        if self.state is not None:
            return self.state
        for part in (self.bus, self.store):
            if isinstance(part, EmbeddedBusConfig | EmbeddedStoreConfig):
                return part.path
        return Path("./data")
