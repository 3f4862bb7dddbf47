"""``samlog run``: the supervisor of the stages."""

import sys
from typing import Any

import click

from samlog import health, metrics, pipeline, status
from samlog.cli.common import config_option, json_option, number, summary
from samlog.clock import Clock, SystemClock
from samlog.errors import ConfigError, Exit
from samlog.supervisor import Supervisor, stage_command


@click.command(
    help="\b\nExample: samlog run --config examples/laptop.yaml\n"
    "Example: samlog run normalize detect --config soc.yaml\n\n"
    "Run stages of the pipeline, one process each: "
    f"{', '.join(pipeline.STAGES)}. None named: all of them. "
    "TERM and INT drain and stop; a second INT aborts."
)
@click.argument("stages", nargs=-1, metavar="[STAGE]...")
@config_option
@click.option(
    "--until-idle",
    is_flag=True,
    help="End when finite sources are read and every stage has drained down to the sinks.",
)
@click.option("--finish", is_flag=True, help="With --until-idle: also close open windows.")
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
    loaded = pipeline.load_settings(config)
    chosen = pipeline.chosen(stages)
    pipeline.refuse_foreign_packages()
    code, told, seconds = run(
        loaded, chosen, until_idle=until_idle, verbosity=(ctx.obj or {}).get("verbosity", 0)
    )
    if as_json:
        import orjson

        click.echo(orjson.dumps({"exit": code, "seconds": seconds, "stages": told}).decode())
    elif until_idle:
        summary(summary_line(told, seconds))
    return code


def run(
    loaded: Any, stages: list[str], *, until_idle: bool, verbosity: int, clock: Clock | None = None
) -> tuple[int, dict[str, dict[str, Any]], float]:
    """Supervises ``stages`` to the end; returns exit code, last status a stage, seconds."""
    clock = clock or SystemClock()
    state = loaded.settings.state_path
    try:
        state.mkdir(parents=True, exist_ok=True)
        metrics.share_between_processes(state / "metrics")
        status.clear(state)
    except OSError as error:
        raise ConfigError(
            f"state folder {state}: {error.strerror}; give it to the user that runs samlog, "
            "or set 'state:' to another folder"
        ) from error
    server = health.HealthServer(
        loaded.settings.http.listen,
        lambda: status.read_all(state),
        lambda: clock.now().timestamp(),
        state / "metrics",
    )
    started = clock.monotonic_s()
    supervisor = Supervisor(
        stages,
        stage_command(
            str(loaded.files[0].parent if len(loaded.files) > 1 else loaded.files[0]), verbosity
        ),
        clock,
        metrics.Metrics(),
        until_idle=until_idle,
    )
    try:
        code = supervisor.run()
    finally:
        server.close()
    return code, status.read_all(state), clock.monotonic_s() - started


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
        f"detections {number(of('detect', 'sent'))}",
        f"alerts {number(of('alerts', 'opened'))}",
        f"{seconds:.1f} s",
    ]
    return " · ".join(parts)


if __name__ == "__main__":
    sys.exit(Exit.USAGE)
