"""A single Elasticsearch node, from Elastic's own minimal distribution that Maven fetched.

It lacks modules (ILM, ingest processors, painless, ``GET /`` and others); what it has is what
samlog relies on. It refuses to run as root: then it is copied to its folder and runs as ``nobody``.
"""

import base64
import http.client
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from samlog.servers.artifacts import elasticsearch_home, java
from samlog.servers.process import Server, ServerError, free_port

_UNPRIVILEGED = "nobody"
_USERADD_S = 60.0

_SETTINGS = """\
cluster.name: samlog
node.name: one
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport}
path.data: {folder}/data
path.logs: {folder}/logs
xpack.security.enabled: {security}
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
node.store.allow_mmap: false
"""

_JVM = """\
-Xms{heap}m
-Xmx{heap}m
-XX:+UseG1GC
-XX:+ExitOnOutOfMemoryError
-Djava.io.tmpdir=${{ES_TMPDIR}}
"""


@dataclass(frozen=True, slots=True)
class User:
    """One user of the file realm; ``roles`` are built-in or named in ``roles_yml``."""

    name: str
    password: str
    roles: tuple[str, ...]


class ElasticsearchServer(Server):
    """A node; `url` is what clients connect to."""

    name = "elasticsearch"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        heap_mb: int = 1024,
        users: Sequence[User] = (),
        roles_yml: str = "",
        settings: Mapping[str, str] | None = None,
        deadline_s: float = 180.0,
    ) -> None:
        super().__init__(folder, port or free_port(), deadline_s=deadline_s)
        self._heap_mb = heap_mb
        self._users = tuple(users)
        self._roles_yml = roles_yml
        self._settings = dict(settings or {})
        self._config = self.folder / "config"

    @property
    def url(self) -> str:
        """Returns ``http://127.0.0.1:<port>``."""
        return f"http://127.0.0.1:{self.port}"

    @cached_property
    def _home(self) -> Path:
        return self.folder / "home" if os.geteuid() == 0 else elasticsearch_home()

    def command(self) -> Sequence[str]:
        return [str(self._home / "bin" / "elasticsearch")]

    def environment(self) -> Mapping[str, str]:
        return {
            "ES_PATH_CONF": str(self._config),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_HOME": str(java().parent.parent),
            "ES_JAVA_OPTS": "",
            "HOME": str(self.folder),
        }

    def owner(self) -> tuple[int, int]:
        if os.geteuid() != 0:
            return (-1, -1)
        entry = pwd.getpwnam(_UNPRIVILEGED)
        return (entry.pw_uid, entry.pw_gid)

    def ready(self) -> bool:
        return _healthy(self.port, self._users[0] if self._users else None)

    def prepare(self) -> None:
        """Writes configuration and users and, for root, copies the program to where it may run."""
        for name in ("config", "data", "logs", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        if os.geteuid() == 0 and not self._home.exists():
            _refuse_closed_parents(self.folder)
            shutil.copytree(elasticsearch_home(), self._home)
        self._write_config()
        self._give_to_owner()
        for user in self._users:
            self._add(user)
        self._give_to_owner()

    def _write_config(self) -> None:
        text = _SETTINGS.format(
            port=self.port,
            transport=free_port(),
            folder=self.folder,
            security="true" if self._users else "false",
        )
        text += "".join(f"{key}: {value}\n" for key, value in self._settings.items())
        (self._config / "elasticsearch.yml").write_text(text)
        (self._config / "jvm.options").write_text(_JVM.format(heap=self._heap_mb))
        (self._config / "roles.yml").write_text(self._roles_yml)
        (self._config / "users").write_text("")
        (self._config / "users_roles").write_text("")
        shutil.copy(self._home / "config" / "log4j2.properties", self._config)

    def _add(self, user: User) -> None:
        program = self._home / "bin" / "elasticsearch-users"
        command = [str(program), "useradd", user.name, "-p", user.password]
        if user.roles:
            command += ["-r", ",".join(user.roles)]
        ran = subprocess.run(
            command,
            capture_output=True,
            cwd=self.folder,
            env={**os.environ, **self.environment()},
            timeout=_USERADD_S,
        )
        if ran.returncode:
            said = (ran.stdout + ran.stderr).decode("utf-8", "replace").strip()
            raise ServerError(f"user {user.name} could not be added:\n{said}")

    def _give_to_owner(self) -> None:
        uid, gid = self.owner()
        if uid < 0:
            return
        os.chown(self.folder, uid, gid)
        for folder, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, uid, gid)


def start_elasticsearch(
    folder: Path | None = None,
    *,
    port: int = 0,
    heap_mb: int = 1024,
    users: Sequence[User] = (),
    roles_yml: str = "",
    settings: Mapping[str, str] | None = None,
    deadline_s: float = 180.0,
) -> ElasticsearchServer:
    """Starts a node and returns when it answers (about 10 s; the first time it is fetched).

    Args:
        folder: Configuration, data and log; the data of one that was used before are used on.
            None makes a temporary one. For root every parent must be open to other users.
        port: Loopback port; 0 takes a free one.
        heap_mb: Java heap.
        users: With users security is on; the first must be allowed to read the cluster's health.
        roles_yml: Text of ``roles.yml``.
        settings: More lines of ``elasticsearch.yml``.
        deadline_s: Seconds until it must answer.

    Raises `ServerError` with the tail of the node's log.
    """
    server = ElasticsearchServer(
        folder,
        port=port,
        heap_mb=heap_mb,
        users=users,
        roles_yml=roles_yml,
        settings=settings,
        deadline_s=deadline_s,
    )
    try:
        server.prepare()
        server.start()
    except ServerError:
        server.close()
        raise
    return server


def _healthy(port: int, user: User | None) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    headers = {}
    if user is not None:
        secret = base64.b64encode(f"{user.name}:{user.password}".encode()).decode()
        headers["Authorization"] = f"Basic {secret}"
    try:
        connection.request(
            "GET", "/_cluster/health?wait_for_status=yellow&timeout=1s", None, headers
        )
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _refuse_closed_parents(folder: Path) -> None:
    for parent in folder.parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise ServerError(
                f"Elasticsearch does not run as root, and {parent} is closed to the user "
                f"{_UNPRIVILEGED}: choose a folder below {Path('/var/tmp')}"
            )
