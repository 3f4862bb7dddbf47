import socket
from typing import Any

import pytest

from samlog.errors import ConfigError, Unavailable


def syslog(bench: Any, **keys: Any) -> Any:
    return bench.open("syslog", listen="127.0.0.1:0", **keys)


def connect(source: Any) -> socket.socket:
    return socket.create_connection(source.address)


def send_datagram(source: Any, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, source.address)


def test_both_protocols_are_received_on_one_port(bench: Any) -> None:
    source = syslog(bench)
    with connect(source) as tcp:
        tcp.sendall(b"<34>one\n15 <34>two\nlines..")
    send_datagram(source, b"<34>three\n")

    found = bench.wait_for(source, 3)

    assert sorted(one.value for one in found) == [b"<34>one", b"<34>three", b"<34>two\nlines.."]
    assert {one.headers["peer"] for one in found} == {b"127.0.0.1"}
    assert len({one.headers["origin"] for one in found}) == 3


def test_equal_messages_are_different_events(bench: Any) -> None:
    source = syslog(bench)
    with connect(source) as tcp:
        tcp.sendall(b"<34>same\n" * 50)

    found = bench.wait_for(source, 50)

    assert len({one.headers["origin"] for one in found}) == 50


def test_origins_are_never_used_again_after_a_restart(bench: Any) -> None:
    seen = []
    for _ in range(2):
        source = syslog(bench)
        send_datagram(source, b"<34>same")
        seen += [one.headers["origin"].split(b":")[0] for one in bench.wait_for(source, 1)]
        bench.restart()

    assert len(set(seen)) == 2


def test_messages_of_one_connection_stay_in_order(bench: Any) -> None:
    source = syslog(bench)
    sent = [b"<34>%d" % number for number in range(5000)]
    with connect(source) as tcp:
        tcp.sendall(b"".join(one + b"\n" for one in sent))

    assert [one.value for one in bench.wait_for(source, 5000)] == sent


def test_a_sender_waits_while_the_queue_is_full_and_nothing_is_lost(bench: Any) -> None:
    source = syslog(bench, queue_bytes=1 << 16)
    line = b"<34>" + b"x" * 2000 + b"\n"
    number = 0
    with connect(source) as tcp:
        tcp.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                tcp.sendall(line * 100)
                number += 100
        in_memory = source._inbox.size
        tcp.shutdown(socket.SHUT_WR)
        found = bench.wait_for(source, number)

    assert in_memory < 1 << 20
    assert len(found) >= number


def test_many_senders_together_fill_the_queue_by_one_chunk_only(bench: Any) -> None:
    source = syslog(bench, queue_bytes=1 << 16)
    senders = [connect(source) for _ in range(20)]
    for sender in senders:
        sender.setblocking(False)
        sender.send(b"<34>a\n" * 20_000)
    bench.until(lambda: source._inbox.full)
    bench.until(lambda: all(one.paused for one in source.connections))

    chunk_of_events = (256 << 10) // len(b"<34>a\n")
    assert len(source._inbox._events) <= chunk_of_events + (1 << 16)
    for sender in senders:
        sender.close()


def test_datagrams_wait_in_the_kernel_while_the_queue_is_full(bench: Any) -> None:
    source = syslog(bench, protocol="udp", queue_bytes=1 << 16)
    for number in range(60):
        send_datagram(source, b"<34>%04d" % number + b"y" * 2000)

    found = bench.wait_for(source, 60)

    assert len(found) == 60


def test_datagrams_that_the_kernel_dropped_are_counted(bench: Any) -> None:
    source = syslog(bench, protocol="udp", queue_bytes=1 << 16, receive_buffer_bytes=4096)
    for _ in range(600):
        send_datagram(source, b"<34>" + b"y" * 2000)

    bench.clock.advance(5)
    found = bench.wait_for(source, 600, timeout_s=1.0)
    bench.clock.advance(5)
    source.read(1000, 1 << 20)

    assert 0 < len(found) < 600
    assert len(found) + bench.counted["udp_kernel"] == 600


def test_a_message_over_the_limit_is_cut(bench: Any) -> None:
    source = bench.open("syslog", listen="127.0.0.1:0", context=bench.context(max_event_bytes=2000))
    with connect(source) as tcp:
        tcp.sendall(b"<34>" + b"x" * 5000 + b"\n<34>next\n")
    send_datagram(source, b"<34>" + b"z" * 5000)

    found = {one.value[:5]: one for one in bench.wait_for(source, 3)}

    assert found[b"<34>x"].headers["full-length"] == b"5004"
    assert found[b"<34>z"].headers["full-length"] == b"5004"
    assert len(found[b"<34>x"].value) == 2000
    assert found[b"<34>n"].value == b"<34>next"


def test_connections_beyond_the_limit_are_refused_while_the_others_are_busy(bench: Any) -> None:
    source = syslog(bench, max_connections=2)
    first, second = connect(source), connect(source)
    for one in (first, second):
        one.sendall(b"<34>here\n")
    bench.wait_for(source, 2)

    with connect(source) as third:
        third.settimeout(10)
        try:
            answer = third.recv(1)
        except ConnectionResetError:
            answer = b""

    assert answer == b""
    assert bench.counted["too_many_connections"] == 1
    first.sendall(b"<34>still\n")
    assert [one.value for one in bench.wait_for(source, 1)] == [b"<34>still"]
    first.close()
    second.close()


def test_an_idle_connection_makes_room_for_a_new_one(bench: Any) -> None:
    source = syslog(bench, max_connections=1, idle_s=1e-9)
    with connect(source) as idle:
        idle.sendall(b"<34>unfinished")
        bench.until(lambda: bool(source.connections))

        with connect(source) as new:
            new.sendall(b"<34>new\n")
            found = bench.wait_for(source, 2)

    assert sorted(one.value for one in found) == [b"<34>new", b"<34>unfinished"]


def test_a_connection_that_waits_because_samlog_is_behind_is_not_idle(bench: Any) -> None:
    source = syslog(bench, max_connections=1, idle_s=1e-9, queue_bytes=1 << 16)
    sent = [b"<34>%04d" % number + b"x" * 992 for number in range(2_000)]
    with connect(source) as waiting:
        waiting.setblocking(False)
        number = waiting.send(b"".join(one + b"\n" for one in sent)) // 1001
        bench.until(lambda: all(one.paused for one in source.connections) and source._inbox.full)

        with connect(source):
            bench.until(lambda: bench.counted["too_many_connections"] == 1)
            found = bench.wait_for(source, number)

    assert [one.value for one in found][:number] == sent[:number]


def test_a_length_that_is_impossible_is_counted_and_costs_the_others_nothing(bench: Any) -> None:
    source = syslog(bench)
    with connect(source) as relay:
        relay.sendall(b"900000000 <34>false\n<34>next\n15 <34>two\nlines..")
        found = bench.wait_for(source, 3)

    assert [one.value for one in found] == [
        b"900000000 <34>false",
        b"<34>next",
        b"<34>two\nlines..",
    ]
    assert bench.counted["framing"] == 1


def test_what_was_sent_is_delivered_when_it_stops(bench: Any) -> None:
    source = syslog(bench)
    with connect(source) as tcp:
        tcp.sendall(b"<34>one\n<34>two\n<34>half")
        bench.until(lambda: bool(source.connections))
        source.drain()
        found = bench.wait_for(source, 3)
        bench.until(lambda: source.finished)

    assert [one.value for one in found] == [b"<34>one", b"<34>two", b"<34>half"]


def test_senders_share_a_bounded_number_of_streams(bench: Any) -> None:
    source = syslog(bench)
    for number in range(300):
        source.accept(f"192.0.2.{number}", [(b"<34>x", None)])

    assert len({one.stream for one in bench.wait_for(source, 300)}) <= 16


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_in_use_is_said_with_what_to_type(bench: Any, protocol: str) -> None:
    source = syslog(bench, protocol=protocol)

    with pytest.raises(Unavailable, match="port is in use.*ss -ln"):
        bench.open("syslog", listen=f"127.0.0.1:{source.address[1]}", protocol=protocol)


def test_an_address_of_another_machine_is_refused(bench: Any) -> None:
    with pytest.raises(ConfigError, match="no such address"):
        bench.open("syslog", listen="192.0.2.1:5514")


def test_what_is_no_address_is_refused_with_an_example(bench: Any) -> None:
    with pytest.raises(ValueError, match="write it like 0.0.0.0:5514"):
        bench.open("syslog", listen="5514")


def test_a_port_that_is_free_for_one_protocol_only_leaves_nothing_open(bench: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        with pytest.raises(Unavailable):
            bench.open("syslog", listen=f"127.0.0.1:{port}")

        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
