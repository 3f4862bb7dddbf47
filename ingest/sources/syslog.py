"""Syslog over UDP and TCP, from anything that sends it.

```yaml
- {type: syslog, unit: enheda, listen: 0.0.0.0:5514, tz: Europe/Copenhagen}
```

Messages are framed here (RFC 6587: octet-counted or by line, told apart message by message; RFC
5426: a datagram is a message) and not parsed: RFC 3164 and RFC 5424 both pass as they came. The
sender's address goes along as the header ``peer``.

*When samlog can't keep up* nothing more is received. Over TCP the sender then waits. Over UDP
nobody can be made to wait: the kernel keeps what fits its buffer and drops the rest. That is lost
and counted (``events_dropped_total``, reason ``udp_kernel``; Linux). Syslog has no answer either:
what was received and not yet delivered is lost when the process is killed, and, counted
(``not_delivered``), when the bus does not take it before a stop has to end. Where that is too
little, take an agent that posts to the source ``http`` or writes to Kafka.

*A wrong length* before a message (octet counting) costs what it says, of that connection. One of
more than four times ``max_event_bytes`` is none: the message is read as a line, and counted
(``errors_total``, kind ``framing``).
"""

import asyncio
import os
import socket
import threading
import zlib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import structlog
from pydantic import Field

from ingest import source
from ingest.cut import cut
from ingest.framing import Framer, Message, without_line_end
from ingest.inbox import Inbox
from ingest.listen import bind, peer_name
from ingest.source import Captured, Context, received
from samlog.address import Listen, parse_listen
from samlog.event import H_ORIGIN, H_PEER, H_RECEIVED

log = structlog.get_logger(__name__)

STREAMS = 16
"""Senders share this many streams per listener: each stays in order, and forged sender addresses
can't make more."""
DATAGRAM_MAX = 65_535
DATAGRAMS_AT_ONCE = 500
STOP_S = 5.0
LAST_LOOK_S = 0.2
COUNT_DROPS_S = 1.0
PEERS_TOLD = 1000
"""Senders of which the log says, once each, that they frame wrongly; all are counted."""


class Config(source.Config):
    """A syslog listener."""

    type: Literal["syslog"]
    listen: Listen = "0.0.0.0:5514"
    """Address for both protocols."""
    protocol: Literal["both", "udp", "tcp"] = "both"
    """What is listened to."""
    max_connections: int = Field(default=256, ge=1, le=10_000)
    """More TCP connections than these: the longest idle one makes room, or the new is refused."""
    idle_s: float = Field(default=300.0, gt=0)
    """A connection that was silent for so long may be closed, if room is needed; not while it waits
    because samlog is behind."""
    queue_bytes: int = Field(default=64 << 20, ge=1 << 16)
    """What may wait between receiving and the bus."""
    receive_buffer_bytes: int = Field(default=16 << 20, ge=4096)
    """Asked of the kernel for UDP; it gives at most ``net.core.rmem_max``."""


class SyslogSource:
    """Receives in an event loop of its own thread; everything else is called by the collector."""

    finite = False
    repeats = False

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.connections: dict[_Connection, None] = {}
        self._context = context
        self._streams = [f"syslog:{config.listen}#{number}" for number in range(STREAMS)]
        self._number = 0
        self._drops_due_at = 0.0
        self._udp_paused = False
        self._counted_drops = 0
        self._misframed: set[str] = set()
        self.draining = False
        self._closed = False
        self._tcp, self._udp = self._bind()
        bound = self._tcp or self._udp
        assert bound is not None
        self.address: tuple[str, int] = bound.getsockname()[:2]
        self._inode = os.fstat(self._udp.fileno()).st_ino if self._udp else 0
        self._inbox = Inbox(config.queue_bytes, context.wake, self._on_room)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="syslog", daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def finished(self) -> bool:
        return self.draining and self._stopped.is_set() and self._inbox.empty

    def read(self, max_records: int, max_bytes: int) -> Sequence[Captured]:
        self._count_drops()
        return self._inbox.take(max_records, max_bytes)

    def acknowledge(self) -> None:
        self._inbox.acknowledge()

    def drain(self) -> None:
        if not self.draining:
            self.draining = True
            self._loop.call_soon_threadsafe(self._loop.stop)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.drain()
        self._thread.join(STOP_S)

    def accept(self, peer: str, messages: Iterable[Message]) -> None:
        """Queues what ``peer`` sent. Loop thread only."""
        stream = self._streams[zlib.crc32(peer.encode()) % STREAMS]
        at = received(self._context.clock.now())
        sender = peer.encode()
        events = []
        for value, full in messages:
            self._number += 1
            origin = f"{self._context.session}:{self.address[1]}:{self._number}".encode()
            headers = {H_ORIGIN: origin, H_RECEIVED: at, H_PEER: sender}
            if full:
                headers |= full.headers()
            events.append(Captured(stream, value, headers))
        if events:
            self._inbox.put(events)
        self.pause_if_full()

    def pause_if_full(self) -> None:
        """Stops all senders at once: a full queue grows by one chunk and not by one each."""
        if self._inbox.full and not self.draining:
            for connection in self.connections:
                connection.pause()

    def make_room(self) -> bool:
        """Sees whether one more connection may be had, closing a silent one if need be."""
        if len(self.connections) < self.config.max_connections:
            return True
        self._context.count("errors_total", stage="collect", kind="too_many_connections")
        # One that waits for room in the queue is not silent: it may have sent what nobody has read.
        listening = [connection for connection in self.connections if not connection.paused]
        oldest = min(listening, key=lambda connection: connection.active_at, default=None)
        if oldest is None or self._loop.time() - oldest.active_at < self.config.idle_s:
            return False
        oldest.end()
        return True

    def misframed(self, peer: str, number: int) -> None:
        """Counts what was announced with a length that can't be one."""
        self._context.count("errors_total", number, stage="collect", kind="framing")
        if peer not in self._misframed and len(self._misframed) < PEERS_TOLD:
            self._misframed.add(peer)
            hint = "its messages are read as lines"
            log.warning("syslog_length_is_impossible", peer=peer, hint=hint)

    def _bind(self) -> tuple[socket.socket | None, socket.socket | None]:
        host, port = parse_listen(self.config.listen)
        tcp = udp = None
        if self.config.protocol != "udp":
            tcp = bind((host, port), socket.SOCK_STREAM)
            port = tcp.getsockname()[1]
        if self.config.protocol != "tcp":
            wanted = self.config.receive_buffer_bytes
            try:
                udp = bind((host, port), socket.SOCK_DGRAM, receive_bytes=wanted)
            except BaseException:
                if tcp:
                    tcp.close()
                raise
            got = udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
            if got < wanted:
                hint = f"sysctl -w net.core.rmem_max={wanted}"
                log.info("receive_buffer_smaller_than_asked", asked=wanted, got=got, hint=hint)
        return tcp, udp

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = None
        try:
            if self._tcp:
                made = loop.create_server(partial(_Connection, self), sock=self._tcp)
                server = loop.run_until_complete(made)
            if self._udp:
                loop.add_reader(self._udp, self._receive, self._udp)
            loop.call_soon(self._started.set)
            loop.run_forever()
        finally:
            if server:
                server.close()
            loop.run_until_complete(self._take_the_rest())
            loop.close()
            self._stopped.set()
            self._context.wake.set()

    async def _take_the_rest(self) -> None:
        """Takes what the kernel has accepted for us: the senders take it for delivered."""
        self._resume()
        await asyncio.sleep(LAST_LOOK_S)
        for connection in list(self.connections):
            connection.end()
        if self._udp:
            self._loop.remove_reader(self._udp)
            self._udp.close()
        await asyncio.sleep(0)

    def _receive(self, udp: socket.socket) -> None:
        """Takes what waits at the UDP socket; while the queue is full it waits in the kernel."""
        for _ in range(DATAGRAMS_AT_ONCE):
            if self._inbox.full and not self.draining:
                self._loop.remove_reader(udp)
                self._udp_paused = True
                return
            try:
                data, address = udp.recvfrom(DATAGRAM_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("udp_receive_failed", error=str(error))
                return
            if value := without_line_end(data):
                message = cut(value, self._context.max_event_bytes)
                self.accept(peer_name(address[0]), [message])

    def _on_room(self) -> None:
        if not self.draining:
            self._loop.call_soon_threadsafe(self._resume)

    def _resume(self) -> None:
        for connection in self.connections:
            connection.resume()
        if self._udp and self._udp_paused:
            self._udp_paused = False
            self._loop.add_reader(self._udp, self._receive, self._udp)

    def _count_drops(self) -> None:
        now = self._context.clock.monotonic_s()
        if not self._inode or now < self._drops_due_at:
            return
        self._drops_due_at = now + COUNT_DROPS_S
        dropped = _kernel_drops(self._inode) - self._counted_drops
        if dropped > 0:
            self._counted_drops += dropped
            labels = {"stage": "collect", "unit": self.config.unit, "reason": "udp_kernel"}
            self._context.count("events_dropped_total", dropped, **labels)
            log.warning("datagrams_dropped_by_the_kernel", number=dropped)


class _Connection(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, owner: SyslogSource) -> None:
        self._owner = owner
        self._framer = Framer(owner._context.max_event_bytes)
        self._peer = ""
        self._transport: asyncio.Transport | None = None
        self.paused = False
        self.active_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        address: Any = transport.get_extra_info("peername")
        self._peer = peer_name(address[0]) if address else ""
        self.active_at = self._owner._loop.time()
        if not self._owner.make_room():
            log.warning("connection_refused", peer=self._peer, reason="max_connections")
            transport.abort()
            return
        self._owner.connections[self] = None
        self._owner.pause_if_full()

    def data_received(self, data: bytes) -> None:
        self.active_at = self._owner._loop.time()
        self._owner.accept(self._peer, self._framer.feed(data))
        if self._framer.errors:
            self._owner.misframed(self._peer, self._framer.errors)
            self._framer.errors = 0

    def pause(self) -> None:
        if self._transport and not self.paused:
            self.paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._owner.connections.pop(self, self) is None:
            self._owner.accept(self._peer, self._framer.finish())

    def resume(self) -> None:
        if self.paused and self._transport and not self._transport.is_closing():
            self.paused = False
            self.active_at = self._owner._loop.time()
            self._transport.resume_reading()

    def end(self) -> None:
        """Takes what was received and closes."""
        self.connection_lost(None)
        if self._transport:
            self._transport.abort()


def _kernel_drops(inode: int) -> int:
    """Returns how many datagrams the kernel dropped at this socket (Linux; elsewhere 0)."""
    for name in ("udp", "udp6"):
        try:
            lines = Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[9] == str(inode):
                return int(columns[12])
    return 0


def open(config: Config, context: Context) -> SyslogSource:
    """Listens. Raises `Unavailable` or `ConfigError` where the port can't be had."""
    return SyslogSource(config, context)
