"""``samlog run``: the supervisor of the stages."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import prometheus_client as prometheus
from prometheus_client import multiprocess

from samlog import health, log, metrics, pipeline, status
from samlog.bus.embedded_errors import DamagedTopic
from samlog.cli.common import config_option, emit, json_option, number, summary
from samlog.clock import Clock, SystemClock
from samlog.config import EmbeddedBusConfig, EmbeddedStoreConfig, Settings
from samlog.configfile import Loaded
from samlog.errors import BusError, ConfigError, Unavailable
from samlog.slot import Slot, holder
from samlog.supervisor import Supervisor, stage_command

WAIT_FOR_ORPHANS_S = 60.0
RUN = "run"


@click.command(
    help="\b\nExample: samlog run --config examples/laptop.yaml\n"
    "Example: samlog run normalize detect --config soc.yaml\n\n"
    "Run stages of the pipeline, one process each: "
    f"{', '.join(pipeline.STAGES)}. None named: all of them. "
    "TERM and INT drain and stop; a second INT aborts. On Kafka a stage may be run as often as "
    "wanted, also on one machine; the embedded bus takes one process a stage."
)
@click.argument("stages", nargs=-1, metavar="[STAGE]...")
@config_option
@click.option(
    "--until-idle",
    is_flag=True,
    help="End when finite sources are read and every stage has drained down to the sinks.",
)
@click.option(
    "--finish",
    is_flag=True,
    help="With --until-idle: also close open correlation windows; else they stay open.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    stages: tuple[str, ...],
    config: str | None,
    until_idle: bool,
    finish: bool,
    as_json: bool,
) -> int:
    unknown = [stage for stage in stages if stage not in pipeline.STAGES]
    if unknown:
        raise click.UsageError(f"unknown stage '{unknown[0]}'; known: {', '.join(pipeline.STAGES)}")
    if finish and not until_idle:
        raise click.UsageError("--finish goes with --until-idle")
    pipeline.refuse_foreign_packages()
    loaded = pipeline.load_settings(config)
    pipeline.check_parsers(loaded.settings)
    code, told, seconds = run(
        loaded,
        pipeline.chosen(stages),
        until_idle=until_idle,
        finish=finish,
        verbosity=(ctx.obj or {}).get("verbosity", 0),
    )
    if as_json:
        restarts = told.pop(RUN, {}).get("restarts", 0)
        row = {"exit": code, "seconds": round(seconds, 3), "restarts": restarts, "stages": told}
        emit([row])
    elif until_idle:
        summary(summary_line(told, seconds))
    return code


def run(
    loaded: Loaded,
    stages: list[str],
    *,
    until_idle: bool,
    finish: bool = False,
    verbosity: int,
    clock: Clock | None = None,
) -> tuple[int, dict[str, dict[str, Any]], float]:
    """Supervises ``stages`` to the end; returns exit code, figures per stage, seconds."""
    clock = clock or SystemClock()
    settings = loaded.settings
    state = settings.state_path
    _make(state)
    refuse_second(settings, stages, clock)
    slot = Slot(state, RUN)
    figures = state / RUN / f"metrics{slot.suffix}"
    metrics.share_between_processes(figures)
    status.clear(state)
    tally = status.Tally(state)
    started = clock.monotonic_s()
    supervisor = Supervisor(
        stages,
        stage_command(
            str(loaded.files[0].parent if len(loaded.files) > 1 else loaded.files[0]),
            verbosity,
            finish=finish,
        ),
        clock,
        metrics.Metrics(),
        until_idle=until_idle,
        repair=lambda: repair(settings, clock),
        ended=_ended(tally, figures),
    )
    server = health.HealthServer(
        settings.http.listen,
        lambda: tally.present(supervisor.pids),
        lambda: clock.now().timestamp(),
        lambda: (
            metrics.exposition(figures) + prometheus.generate_latest(supervisor.metrics.registry)
        ),
        any_port=loaded.origins.get("http.listen", "default") == "default",
    )
    log.get(RUN).info(
        "running", stages=", ".join(stages), health=f"http://{server.address}/healthz"
    )
    try:
        code = supervisor.run()
    finally:
        server.close()
        slot.close()
    told = tally.totals(supervisor.pids)
    if supervisor.restarts:
        told[RUN] = {"restarts": supervisor.restarts}
    return code, told, clock.monotonic_s() - started


def _make(state: Path) -> None:
    try:
        (state / RUN).mkdir(parents=True, exist_ok=True)
        probe = state / RUN / "writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"state folder {state}: {error.strerror}; give it to the user that runs samlog, "
            "or set 'state:' to another folder"
        ) from error


def _ended(tally: status.Tally, figures: Path) -> Callable[[int], None]:
    def ended(pid: int) -> None:
        tally.ended(pid)
        multiprocess.mark_process_dead(pid, str(figures))  # type: ignore[no-untyped-call] # untyped

    return ended


def refuse_second(settings: Settings, stages: Sequence[str], clock: Clock) -> None:
    """Stops where another run has a stage that only one process may be.

    Processes whose supervisor was killed are coming to their end by themselves: they are waited
    for.
    """
    state = settings.state_path
    alone = {"collect"}
    if isinstance(settings.bus, EmbeddedBusConfig):
        alone |= set(stages)
    if isinstance(settings.store, EmbeddedStoreConfig):
        alone.add("store")
    deadline = clock.monotonic_s() + WAIT_FOR_ORPHANS_S
    told = False
    while taken := {s: pid for s in stages if s in alone and (pid := holder(state, s))}:
        names = ", ".join(f"{stage} (process {pid})" for stage, pid in taken.items())
        other = next((pid for n in range(8) if (pid := holder(state, RUN, n))), 0)
        if other or clock.monotonic_s() > deadline:
            raise ConfigError(
                f"already running with the state folder {state}: {names}"
                f"{f', started by process {other}' if other else ''}. Of these there is one on a "
                "machine; stop it first, or use bus type kafka to share the work"
            )
        if not told:
            log.get(RUN).warning("waiting_for_the_last_run_to_end", stages=names)
            told = True
        clock.sleep(0.2)


def repair(settings: Settings, clock: Clock) -> None:
    """Has damaged topics of the embedded bus rebuilt, while no stage has them open."""
    if not isinstance(settings.bus, EmbeddedBusConfig):
        return
    bus = pipeline.open_bus(settings, clock)
    for topic in sorted(bus.topics()):
        try:
            bus.end_offsets([topic])
        except (DamagedTopic, Unavailable) as error:
            log.get(RUN).error("topic_not_rebuilt", topic=topic, why=str(error))
        except BusError as error:
            raise ConfigError(str(error)) from error
    bus.close()


def summary_line(told: dict[str, dict[str, Any]], seconds: float) -> str:
    """Returns ``read 12,000 · parsed 11,983 · rejected 17 · alerts 4 · 3.1 s``."""

    def of(stage: str, name: str) -> float:
        return float(told.get(stage, {}).get(name, 0))

    rejected = sum(float(state.get("rejected", 0)) for state in told.values())
    parts = [
        f"read {number(of('collect', 'sent'))}",
        f"parsed {number(of('normalize', 'sent'))}",
        f"rejected {number(rejected)}" + (" (samlog dlq ls)" if rejected else ""),
        f"stored {number(of('store', 'created'))}",
        f"detections {number(of('detect', 'detections') + of('correlate', 'detections'))}",
        f"alerts {number(of('alerts', 'opened'))}",
        f"{seconds:.1f} s",
    ]
    if windows := of("correlate", "open_windows"):
        parts.append(f"{number(windows)} correlation windows are open (--finish closes them)")
    if restarts := of(RUN, "restarts"):
        parts.append(f"{number(restarts)} restarts (figures may miss a second of each)")
    return " · ".join(parts)
