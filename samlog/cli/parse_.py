"""``samlog parse``: what would samlog make of this log? No server, no configuration."""

import sys
from collections import Counter

import click

from normalize.frame import Normalizer
from normalize.parse import as_message, parse_envelope_line
from normalize.registry import Registry
from normalize.step import NormalizeStep
from normalize.times import zone
from samlog import pipeline
from samlog.cli.common import number, summary
from samlog.cli.files import read_files
from samlog.errors import BadEvent, ConfigError, Exit
from samlog.log import harmless


@click.command(
    help="\b\nExample: samlog parse /var/log/auth.log | jq .\n"
    "Example: samlog parse --as windows Security.evtx\n\n"
    "Turn raw logs into ECS events: NDJSON on stdout, no server needed. "
    "Reads .evtx, .json, .ndjson, .log and .gz; - is stdin."
)
@click.argument("files", nargs=-1, metavar="FILE...|-")
@click.option("--as", "source", default="", help="Parser to use; default: from the content.")
@click.option(
    "--envelope", is_flag=True, help='Lines are {"id","source","input"}; out {"id","doc"}.'
)
@click.option("--no-hints", is_flag=True, help="Ignore what an envelope says of its source.")
@click.option("--tz", default="UTC", show_default=True, help="Zone of times that name none.")
def command(files: tuple[str, ...], source: str, envelope: bool, no_hints: bool, tz: str) -> int:
    pipeline.refuse_foreign_packages()
    registry = Registry()
    if source and source not in registry.hints():
        raise ConfigError(
            f"no parser is called '{source}'; see: samlog list parsers "
            f"(known: {', '.join(sorted(registry.hints()))})"
        )
    if zone(tz) is None:
        raise ConfigError(
            f"--tz: there is no zone '{tz}'; write it like Europe/Copenhagen or +01:00"
        )
    normalizer = Normalizer({}, registry, hints=not no_hints, tz=tz)
    step = NormalizeStep(normalizer)
    clock = pipeline.system_clock()
    started = clock.monotonic_s()
    out = sys.stdout.buffer
    counts: Counter[str] = Counter()
    for name, record in read_files(files):
        counts["read"] += 1
        try:
            if envelope:
                lines = list(parse_envelope_line(record, normalizer, received=clock.now()))
            else:
                message = as_message(
                    record, name=name, number=counts["read"], received=clock.now(), source=source
                )
                lines = [made.value for made in step.process(message)]
        except BadEvent as bad:
            counts["rejected"] += 1
            if counts["rejected"] <= 10:
                summary(f"rejected {name}: {harmless(str(bad))}")
            continue
        counts["parsed"] += len(lines)
        out.writelines(line + b"\n" for line in lines)
    lines = [made.value for made in step.flush()]
    counts["parsed"] += len(lines)
    counts["rejected"] += len(list(step.settle()))
    out.writelines(line + b"\n" for line in lines)
    out.flush()
    seconds = clock.monotonic_s() - started
    summary(
        f"read {number(counts['read'])} · parsed {number(counts['parsed'])} · "
        f"rejected {number(counts['rejected'])} · {seconds:.1f} s"
    )
    return Exit.FAILED if counts["rejected"] else Exit.DONE
