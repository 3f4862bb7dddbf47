"""The check of `samlog doctor` that looks at where alerts go: usable, not behind, all accepted."""

from collections.abc import Iterator
from datetime import UTC, datetime

from alerts.outbox import RESEND, Outbox
from samlog import pipeline
from samlog.cli.finding import Finding, Surroundings
from samlog.clock import iso_ms
from samlog.errors import Exit, Unavailable

REFUSED_WITHIN_S = 7 * 86_400.0
"""Older refusals are told by `samlog alerts show` only: the receiver may never take that alert."""
MAX_SHOWN = 5


def check_sinks(around: Surroundings) -> Iterator[Finding]:
    """Sinks: usable now, not behind, nothing refused, nothing waiting for a name of the past."""
    problems = pipeline.check_sinks(around.settings)
    for problem in problems:
        step = "mend it: alerts wait and are sent then; see: samlog alerts ls"
        yield Finding("sink", problem, step, Exit.FAILED)
    labels = [sink.label for sink in around.settings.sinks]
    try:
        with pipeline.alert_outbox(around.settings) as outbox:
            yield from _waiting(outbox, labels)
            yield from _refused(outbox, around.clock.now().timestamp() - REFUSED_WITHIN_S)
    except Unavailable:
        pass  # No alert was ever made here.
    if not labels:
        step = "add one below sinks:, e.g. - {type: file, path: ./alerts.ndjson}"
        yield Finding("sink", "none is configured: alerts reach nobody", step, Exit.FAILED)
    elif not problems:
        yield Finding("sink", f"usable: {', '.join(labels)}")


def _waiting(outbox: Outbox, labels: list[str]) -> Iterator[Finding]:
    orphans = outbox.orphans(labels)
    for sink, (count, problem) in outbox.waiting().items():
        if count and problem and sink not in orphans:
            step = "mend it: they are sent in order as soon as it answers"
            what = f"{sink}: {count} alert revisions wait: {problem}"
            yield Finding("sink", what, step, Exit.FAILED)
    for sink, count in orphans.items():
        what = f"{sink}: {count} alert revisions wait, and no sink has that name any more"
        step = f"{RESEND.format(sink)}; if nobody is to get them: samlog alerts forget '{sink}'"
        yield Finding("sink", what, step, Exit.FAILED)


def _refused(outbox: Outbox, since: float) -> Iterator[Finding]:
    found = outbox.refusals(since=since)
    for one in found[:MAX_SHOWN]:
        made = iso_ms(datetime.fromtimestamp(one.made_at, UTC))
        what = f"{one.sink} refused a revision of alert {one.alert} of {made}: {one.reason}"
        step = (
            f"samlog alerts show {one.alert}; when that is mended: "
            f"samlog alerts resend --to '{one.sink}' --since {made}"
        )
        yield Finding("sink", what, step, Exit.FAILED)
    if len(found) > MAX_SHOWN:
        what = f"{len(found) - MAX_SHOWN} more were refused in the last seven days"
        yield Finding("sink", what, "samlog alerts show ID tells those of an alert", Exit.FAILED)
