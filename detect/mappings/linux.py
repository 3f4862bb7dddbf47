"""Linux: lines of syslog by program, authentication, auditd, and process events in ECS.

Most rules are keywords over the line. ``auditd.log.*`` and the process fields are as Elastic's
auditd integration names them; the records that belong together are joined before they come here.
Sysmon for Linux keeps its own names below ``winlog.event_data``.
"""

from detect.logsource import Fields, Source
from detect.mappings.windows import EVENT
from detect.text import Slot

AUTH = ("system.auth",)
SYSLOG = ("system.auth", "system.syslog", "system.cron")
AUDITD = ("auditd.log", "auditd_manager.auditd")
EXECUTED = ("executed", "execve")
"""A joined event, and an EXECVE record whose SYSCALL was lost."""
CONNECTED = ("connected-to", "accepted-connection-from")
PROCESS_DATASETS = ("endpoint.events.process",)
BEAT_PROCESSES = {"event.dataset": ("auditbeat.process",), "event.action": ("process_started",)}
"""Auditbeat also reports, at intervals, what runs and what has ended."""
NETWORK_DATASETS = ("endpoint.events.network", "auditbeat.socket")
FILE_DATASETS = ("auditbeat.file_integrity", "fim.event", "endpoint.events.file")
SYSMON = ("sysmon_linux.log",)
SYSMON_CATEGORIES = {
    "process_creation": ("1",),
    "network_connection": ("3",),
    "file_event": ("11",),
    "file_delete": ("23",),
}
"""Category → event ids of Sysmon for Linux, whose fields are those of Sysmon on Windows."""

_OWN = ("event.", "group.", "message", "process.", "source.", "system.auth.", "user.")

LINE = Fields(
    {"USER": ("system.auth.sudo.user", "user.effective.name")},
    below={beginning: beginning for beginning in _OWN},
)
"""Only sudo's ``USER`` has a field in Sigma's taxonomy; everything else in SigmaHQ's rules is a
keyword. Rules written for samlog read ECS fields by their own names: parsers take lines apart and
do not keep each one as a whole in ``message``.
"""

_ARGUMENTS: dict[str, Slot] = {
    f"a{number}": frozenset({f"auditd.execve.a{number}", f"auditd.log.a{number}"})
    for number in range(16)
}
"""EXECVE's arguments and those of the system call: a joined event has both."""

AUDIT = Fields(
    {
        **_ARGUMENTS,
        "type": ("auditd.log.record_type", "auditd.message_type", "event.action"),
        "SYSCALL": ("auditd.log.SYSCALL", "auditd.data.syscall", "auditd.log.syscall"),
        "acct": frozenset({"user.effective.name", "user.target.name", "user.name"}),
        "addr": ("source.address", "source.ip"),
        "arch": "host.architecture",
        "auid": ("user.audit.id", "auditd.user.audit.id"),
        "cmd": "process.command_line",
        "comm": "process.name",
        "cwd": "process.working_directory",
        "data": ("auditd.log.data", "auditd.data.data"),
        "egid": ("user.effective.group.id", "user.group.id"),
        # the effective user is left out where it is the real one
        "euid": ("user.effective.id", "user.id"),
        "exe": "process.executable",
        "exit": ("auditd.log.exit", "process.exit_code", "auditd.data.exit"),
        "gid": "user.group.id",
        "key": frozenset({"auditd.log.key", "tags"}),
        "name": ("auditd.log.name", "file.path"),
        "pid": "process.pid",
        "ppid": "process.parent.pid",
        "proctitle": ("auditd.log.proctitle", "process.title"),
        "res": ("auditd.result", "event.outcome"),
        "success": ("auditd.log.success", "event.outcome"),
        "syscall": ("auditd.log.SYSCALL", "auditd.data.syscall", "auditd.log.syscall"),
        "terminal": ("user.terminal", "auditd.data.terminal"),
        "uid": ("auditd.log.uid", "user.id"),
        "unit": ("auditd.log.unit", "auditd.data.unit"),
    },
    prefix="auditd.log.",
)

PROCESS = Fields(
    {
        "CommandLine": "process.command_line",
        "CurrentDirectory": "process.working_directory",
        "Image": "process.executable",
        "LogonId": ("process.session_leader.entity_id", "auditd.session"),
        "ParentCommandLine": "process.parent.command_line",
        "ParentImage": "process.parent.executable",
        "User": "user.name",
    }
)

FILE = Fields(
    {
        "TargetFilename": ("auditd.log.target_path", "file.path"),
        "Image": "process.executable",
        "User": "user.name",
    }
)

_INITIATED: Slot = ("auditd.log.initiated", "network.initiated")
NETWORK = Fields(
    {
        "DestinationHostname": ("destination.domain", "destination.address"),
        "DestinationIp": "destination.ip",
        "DestinationPort": "destination.port",
        "Image": "process.executable",
        "Initiated": _INITIATED,
        "SourceIp": "source.ip",
        "SourcePort": "source.port",
    }
)


def _program(service: str, *names: str) -> Source:
    return Source("linux", "", service, {"event.dataset": SYSLOG, "process.name": names}, LINE)


SOURCES: tuple[Source, ...] = (
    Source("linux", "", "auth", {"event.dataset": AUTH}, LINE),
    Source("linux", "", "syslog", {"event.dataset": SYSLOG}, LINE),
    Source("linux", "", "auditd", {"event.dataset": AUDITD}, AUDIT),
    _program("sshd", "sshd", "sshd-session", "sshd-auth", "dropbear"),
    _program("sudo", "sudo"),
    _program("cron", "cron", "crond", "anacron", "crontab"),
    _program("clamav", "clamd", "clamscan", "freshclam"),
    _program("guacamole", "guacd"),
    _program("vsftpd", "vsftpd"),
    Source("linux", "", "sysmon", {"event.dataset": SYSMON}, EVENT),
    *(
        Source("linux", category, "", {"event.dataset": SYSMON, "event.code": codes}, EVENT)
        for category, codes in SYSMON_CATEGORIES.items()
    ),
    Source(
        "linux",
        "process_creation",
        "",
        {"event.dataset": AUDITD, "event.action": EXECUTED},
        PROCESS,
    ),
    Source("linux", "process_creation", "", {"event.dataset": PROCESS_DATASETS}, PROCESS),
    Source("linux", "process_creation", "", BEAT_PROCESSES, PROCESS),
    Source("linux", "file_event", "", {"event.dataset": AUDITD, "event.type": ("creation",)}, FILE),
    Source(
        "linux",
        "file_event",
        "",
        {"event.dataset": FILE_DATASETS, "event.type": ("creation", "change")},
        FILE,
    ),
    Source(
        "linux",
        "network_connection",
        "",
        {"event.dataset": AUDITD, "event.action": CONNECTED},
        NETWORK,
    ),
    Source("linux", "network_connection", "", {"event.dataset": NETWORK_DATASETS}, NETWORK),
)
