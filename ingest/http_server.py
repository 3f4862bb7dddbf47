"""The listener of the source ``http``; what it answers when is written in `ingest.sources.http`."""

import asyncio
import socket
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from ingest.content import CHUNK
from ingest.inbox import Inbox
from ingest.listen import bind, peer_name
from ingest.retries import Attempt, Retries
from ingest.source import Captured, Context, received
from ingest.sources.http import Config
from ingest.split import JsonSplitter, LineSplitter, Piece
from samlog.address import parse_listen
from samlog.event import H_ORIGIN, H_PEER, H_RECEIVED

STREAMS = 16
RETRY_AFTER_S = 2
STOP_S = 10


class Refused(Exception):
    """A request that is answered with ``status``; nothing of it was taken."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class HttpSource:
    """Serves in a thread of its own; everything else is called by the collector."""

    finite = False
    repeats = True

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self._context = context
        self._inbox = Inbox(config.queue_bytes, context.wake)
        self._streams = [f"http:{config.listen}#{number}" for number in range(STREAMS)]
        self._bodies = 0
        self._coming_in = 0
        self._retries = Retries(context.clock, self._new_origin)
        self._draining = False
        self._socket = bind(parse_listen(config.listen), socket.SOCK_STREAM)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app(),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=STOP_S,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        return self._draining and not self._thread.is_alive() and self._inbox.empty

    def read(self, max_records: int, max_bytes: int) -> Sequence[Captured]:
        return self._inbox.take(max_records, max_bytes)

    def acknowledge(self) -> None:
        self._inbox.acknowledge()

    def drain(self) -> None:
        self._draining = True
        self._server.should_exit = True

    def close(self) -> None:
        self.drain()
        self._server.force_exit = True
        self._thread.join(STOP_S)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
        self._context.wake.set()

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        for path in ("/", "/events"):
            app.add_api_route(path, self._post, methods=["POST"], response_model=None)
        return app

    async def _post(self, request: Request) -> Response:
        body = bytearray()
        try:
            await self._receive(request, body)
            return await self._take(request, bytes(body))
        except Refused as refused:
            return _answer(refused.status, {"error": str(refused)})
        except ClientDisconnect:
            return _answer(400, {"error": "the body broke off"})
        finally:
            self._coming_in -= len(body)

    async def _receive(self, request: Request, body: bytearray) -> None:
        """Fills ``body`` with the unpacked body; `_coming_in` holds the sum of all of these."""
        most = self.config.max_body_bytes
        gunzip = _gunzip(request.headers.get("content-encoding", "identity"))
        if int(request.headers.get("content-length", 0)) > most:
            raise Refused(413, f"the body is larger than {most} bytes (max_body_bytes)")
        try:
            async with asyncio.timeout(self.config.body_timeout_s):
                async for chunk in request.stream():
                    self._may_take(len(body))
                    data = gunzip.feed(chunk, most + 1 - len(body)) if gunzip else chunk
                    body += data
                    self._coming_in += len(data)
                    if len(body) > most:
                        raise Refused(413, f"the body is larger than {most} bytes (max_body_bytes)")
        except TimeoutError:
            raise Refused(408, "the body did not come in time") from None
        if gunzip:
            gunzip.finish()

    def _may_take(self, own: int) -> None:
        """Refuses a body of which ``own`` bytes came, when the others fill the queue."""
        if self._draining:
            raise Refused(503, "samlog is stopping: send it again")
        if self._inbox.size + self._coming_in - own >= self.config.queue_bytes:
            raise Refused(429, "samlog is behind: send it again later")

    async def _take(self, request: Request, body: bytes) -> Response:
        self._may_take(len(body))
        pieces = self._split(request, body)
        if not pieces:
            return _answer(200, {"events": 0})
        peer = peer_name(request.client.host) if request.client else ""
        attempt = self._retries.begin(sha256(peer.encode() + b"\0" + body).digest())
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        events = self._events(peer, attempt.origin, pieces)
        self._inbox.put(events, partial(_tell, loop, durable))
        await self._wait(request, durable, attempt)
        return _answer(200, {"events": len(events)})

    async def _wait(
        self, request: Request, durable: asyncio.Future[None], attempt: Attempt
    ) -> None:
        """Returns when the events are durable and the sender is there to be told so."""
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait(
                {durable, gone},
                timeout=self.config.answer_timeout_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if gone.done():
                self._retries.left(attempt)
                raise Refused(503, "the sender did not wait for the answer")
            if not durable.done():
                self._retries.refused(attempt)
                raise Refused(503, "the bus did not take it in time: send it again")
        finally:
            gone.cancel()

    def _new_origin(self) -> str:
        self._bodies += 1
        return f"{self._context.session}:{self.address[1]}:{self._bodies}"

    def _split(self, request: Request, body: bytes) -> list[Piece]:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        make = JsonSplitter if media_type == "application/json" else LineSplitter
        splitter = make(self._context.max_event_bytes)
        pieces: list[Piece] = []
        for start in range(0, len(body), CHUNK):
            pieces += splitter.feed(body[start : start + CHUNK])
            if len(pieces) > self.config.max_body_events:
                raise Refused(
                    413, f"more than {self.config.max_body_events} events (max_body_events)"
                )
        return pieces + splitter.finish()

    def _events(self, peer: str, origin: str, pieces: Sequence[Piece]) -> list[Captured]:
        stream = self._streams[zlib.crc32(peer.encode()) % STREAMS]
        common = {H_RECEIVED: received(self._context.clock.now()), H_PEER: peer.encode()}
        events = []
        for piece in pieces:
            headers = {**common, H_ORIGIN: f"{origin}:{piece.offset}".encode()}
            if piece.full:
                headers |= piece.full.headers()
            events.append(Captured(stream, piece.value, headers))
        return events


class _Gunzip:
    """Unpacks a body as it comes; never gives more than it is asked for."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    def feed(self, chunk: bytes, most: int) -> bytes:
        """Returns up to ``most`` bytes; what is beyond is dropped, the caller refuses the body."""
        try:
            data = self._inflate.decompress(chunk, most)
        except zlib.error as error:
            raise Refused(400, f"the body is not gzip: {error}") from error
        if self._inflate.unused_data:
            raise Refused(400, "bytes behind the end of the gzip body")
        return data

    def finish(self) -> None:
        if not self._inflate.eof:
            raise Refused(400, "the gzip body is cut short")


def _gunzip(encoding: str) -> _Gunzip | None:
    if encoding.lower() not in ("identity", "gzip"):
        raise Refused(415, "send the body as it is or with Content-Encoding: gzip")
    return _Gunzip() if encoding.lower() == "gzip" else None


def _answer(status: int, content: dict[str, str | int]) -> Response:
    again = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
    return JSONResponse(content, status, again)


async def _gone(request: Request) -> None:
    """Returns when the sender has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _tell(loop: asyncio.AbstractEventLoop, durable: asyncio.Future[None]) -> None:
    """Answers from the collector's thread; the server may have stopped meanwhile."""

    def settle() -> None:
        if not durable.done():
            durable.set_result(None)

    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)
