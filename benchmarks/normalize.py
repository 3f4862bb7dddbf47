"""``python -m benchmarks.normalize``: what normalising costs on one core, source by source.

Raw bytes and headers in, bytes of the ECS document out, through `NormalizeStep`. Beside it, in turn
in the same run, the floor: reading and writing JSON of the same data with orjson and nothing else
(for lines of text, only writing the document). Compare ratios within a run, not runs.
"""

import argparse
import gc
import gzip
import os
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import orjson

from ingest.content import read_pieces
from normalize.frame import Normalizer
from normalize.registry import Registry
from normalize.step import NormalizeStep
from samlog.bus.base import Message
from samlog.cli.stage_ import GC_THRESHOLDS

DATA = Path(__file__).parents[1] / "../shared/data"
HEADERS = {
    "samlog-v": b"1",
    "origin": b"8f3a2b1c:123456",
    "collector": b"collector-1",
    "seq": b"1",
    "received": b"2026-11-22T07:00:00.123456789Z",
}
MAX_EVENT_BYTES = 1 << 20
APPENDED_MS = 1_795_332_353_526
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
SSHD = (
    "Failed password for invalid user admin{n} from 203.0.113.{a} port {p} ssh2",
    "Accepted publickey for anne from 192.0.2.{a} port {p} ssh2: ED25519 SHA256:{n:043}",
    "Connection closed by 203.0.113.{a} port {p} [preauth]",
    "pam_unix(sshd:session): session opened for user anne(uid=1000) by (uid=0)",
)

_AUDIT_ID = "msg=audit({s}.204:{n}):"
AUDIT = (
    f"type=SYSCALL {_AUDIT_ID} arch=c000003e syscall=59 success=yes exit=0 a0=55d0c8 a1=55d0c9 "
    "a2=55d0ca a3=8 items=2 ppid=2211 pid={n} auid=1004 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 "
    'sgid=0 fsgid=0 tty=pts1 ses=12 comm="wget" exe="/usr/bin/wget" subj=unconfined key="exec"',
    f'type=EXECVE {_AUDIT_ID} argc=3 a0="wget" a1="-q" a2="https://www.example.dk/side{{n}}"',
    f'type=CWD {_AUDIT_ID} cwd="/home/anne"',
    f'type=PATH {_AUDIT_ID} item=0 name="/usr/bin/wget" inode=131377 dev=fd:00 mode=0100755 ouid=0 '
    "ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0",
    f'type=PATH {_AUDIT_ID} item=1 name="/lib64/ld-linux-x86-64.so.2" inode=131999 dev=fd:00 '
    "mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0",
    f"type=PROCTITLE {_AUDIT_ID} proctitle=77676574002D71",
)


def gzipped(name: str) -> Iterator[bytes]:
    with gzip.open(DATA / "events" / name, "rb") as lines:
        for line in lines:
            yield line.rstrip(b"\r\n")


def windows_xml() -> Iterator[bytes]:
    """Yields the events of the regression files as XML, over and over."""
    files = sorted((DATA / "sigmahq-regression").rglob("*.evtx"))
    events = [piece.value for file in files for piece in read_pieces(file, MAX_EVENT_BYTES)]
    while events:
        yield from events


def sshd() -> Iterator[bytes]:
    for number in range(1 << 30):
        moment = f"Nov 22 06:{number // 60 % 60:02}:{number % 60:02}"
        body = SSHD[number % 4].format(n=number % 999, a=number % 250, p=30_000 + number % 30_000)
        yield f"{moment} web{number % 7} sshd[{number % 30_000}]: {body}".encode()


def nginx() -> Iterator[bytes]:
    for number in range(1 << 30):
        moment = f"22/Nov/2026:06:{number // 60 % 60:02}:{number % 60:02} +0000"
        request = f"GET /borger/side{number % 300}?id={number} HTTP/1.1"
        status = (200, 200, 304, 404)[number % 4]
        yield (
            f'203.0.113.{number % 250} - - [{moment}] "{request}" {status} {number * 7 % 9000} '
            f'"https://www.example.dk/" "{AGENT}"'
        ).encode()


def auditd() -> Iterator[bytes]:
    """Yields lines of audit.log: an executed program each six records, in the kernel's order."""
    for number in range(1 << 30):
        yield from (
            line.format(n=number, s=1_763_794_800 + number // 50).encode() for line in AUDIT
        )


SOURCES: dict[str, tuple[Callable[[], Iterator[bytes]], bool]] = {
    "Windows, flat JSON": (partial(gzipped, "windows-security-datasets-50k.ndjson.gz"), True),
    "Windows, XML": (windows_xml, False),
    "sshd": (sshd, False),
    "auditd, joined": (auditd, False),
    "nginx": (nginx, False),
    "AWS CloudTrail": (partial(gzipped, "aws-cloudtrail-invictus-2900.ndjson.gz"), True),
    "Zeek": (partial(gzipped, "zeek-json-8k.ndjson.gz"), True),
}
"""By name: the records, and whether they are JSON."""
BARS = {
    "Windows, flat JSON": 40_000,
    "Windows, XML": 15_000,
    "sshd": 80_000,
    "AWS CloudTrail": 30_000,
    "auditd, joined": 25_000,
}
"""Records a second that one undisturbed core shall do."""


def cpu_us(work: Callable[[], object], events: int) -> float:
    """Returns the CPU time of ``work``, microseconds an event."""
    started = time.process_time()
    work()
    return (time.process_time() - started) / events * 1e6


def normalize_all(step: NormalizeStep, messages: list[Message]) -> None:
    for message in messages:
        step.process(message)


def rewrite(messages: list[Message]) -> None:
    for message in messages:
        orjson.dumps(orjson.loads(message.value))


def write(documents: list[object]) -> None:
    for document in documents:
        orjson.dumps(document)


def measure(name: str, limit: int, rounds: int) -> None:
    """Prints one source's line: medians and ranges of both, and their ratio."""
    records, is_json = SOURCES[name]
    messages = [
        Message("samlog.raw.enheda", 0, number, b"collector-1|s", record, HEADERS, APPENDED_MS)
        for number, record in enumerate(islice(records(), limit))
    ]
    if not messages:
        print(f"{name}: no records")
        return
    step = NormalizeStep(Normalizer({"enheda": {}}, Registry()))
    documents = [orjson.loads(out.value) for message in messages for out in step.process(message)]
    floor = partial(rewrite, messages) if is_json else partial(write, documents)
    ours: list[float] = []
    least: list[float] = []
    for _ in range(rounds):
        least.append(cpu_us(floor, len(messages)))
        ours.append(cpu_us(partial(normalize_all, step, messages), len(messages)))
    wanted = BARS.get(name)
    bar = f"; {1e6 / median(ours) / wanted:.0%} of {wanted:,}/s" if wanted else ""
    print(
        f"{name:20} {median(ours):6.1f} us ({min(ours):.1f} to {max(ours):.1f}), "
        f"{1e6 / median(ours):8,.0f}/s; floor {median(least):5.1f} us "
        f"({min(least):.1f} to {max(least):.1f}); {median(ours) / median(least):5.1f} times; "
        f"{len(messages):,} records{bar}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=8_000, help="records of a source (8,000)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; CPU time, one core")
    for name in SOURCES:
        try:
            measure(name, options.events, options.rounds)
        except FileNotFoundError:
            print(f"{name}: ../shared/data is absent")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
