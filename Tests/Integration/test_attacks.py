"""Bad input and attacks: each meets its bound, its metric and its log line, and other people's requests go on meanwhile."""

import asyncio
import itertools
import re
import socket
import ssl
import threading
import time
import urllib.request

import pytest

from conftest import PATIENCE, wait_for


def connect(server, tls=False):
    host, port = server.address.rsplit(":", 1)
    raw = socket.create_connection((host, int(port)), timeout=PATIENCE)
    return ssl._create_unverified_context().wrap_socket(raw) if tls else raw


def metric(server, name):
    with urllib.request.urlopen(urllib.request.Request(server.url + "/metrics"), timeout=PATIENCE,
                                context=ssl._create_unverified_context() if server.tls else None) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.M)
    return float(found.group(1))


def everything(connection):
    """Reads to the end, however the other side makes it."""
    text = b""
    try:
        while chunk := connection.recv(65536):
            text += chunk
    except (ConnectionError, ssl.SSLError):
        pass
    return text


class Others(threading.Thread):
    """Other people's requests, all the time; any that fails is an error."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.done, self.failures, self.stopped = server, 0, [], threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(0.02):
            try:
                assert self.server.call("GET", "/health")[0] == 200
                self.done += 1
            except Exception as error:
                self.failures.append(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        done = self.done
        wait_for(lambda: self.done > done or self.failures, "another request")
        self.stopped.set()
        self.join()
        assert not self.failures, self.failures[:3]
        return False


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def target(request, make_server):
    return make_server("--connections-per-address", "1000", tls=request.param)


# Slow


def test_slow_headers_are_cut_at_their_deadline_and_counted(target):
    with Others(target):
        slow = [connect(target, target.tls) for _ in range(20)]
        for one in slow:
            one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        deadline = time.monotonic() + PATIENCE
        open_ones = set(slow)
        # A byte now and then does not buy time.
        while open_ones and time.monotonic() < deadline:
            for one in list(open_ones):
                try:
                    one.sendall(b"X")
                    one.settimeout(0.02)
                    if one.recv(1) == b"":
                        open_ones.remove(one)
                except TimeoutError:
                    pass
                except OSError:
                    open_ones.remove(one)
        assert not open_ones
    assert metric(target, "postern_slow_requests_total") >= 20
    # One line for all of them.
    assert target.log.read_text().count("no complete request within the time limit") <= 3
    assert "no complete request within the time limit" in target.log.read_text()


def test_a_slow_handshake_is_cut(make_server):
    server = make_server(tls=True)
    with Others(server):
        slow = connect(server)
        slow.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        everything(slow)
    assert metric(server, 'postern_tls_handshakes_total{result="failed"}') >= 1
    assert "TLS handshakes failed" in server.log.read_text()


def test_a_slow_body_is_cut(target):
    ana = target.user("ana")
    with Others(target):
        slow = connect(target, target.tls)
        slow.sendall(b"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ana.token.encode() +
                     b"\r\nContent-Length: 1000\r\n\r\n{")
        deadline = time.monotonic() + PATIENCE
        slow.settimeout(0.2)
        while time.monotonic() < deadline:
            try:
                slow.sendall(b" ")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                pass
            except OSError:
                break
        else:
            raise AssertionError("never cut")
    assert metric(target, "postern_slow_requests_total") >= 1
    assert "no complete request within the time limit" in target.log.read_text()


def test_half_open_sockets_go(target):
    with Others(target):
        before = metric(target, "postern_connections")
        gone = [connect(target) for _ in range(50)]
        for one in gone:
            one.shutdown(socket.SHUT_WR)
        for one in gone:
            everything(one)
        wait_for(lambda: metric(target, "postern_connections") <= before + 3, "the end of the half-open")
    assert metric(target, "postern_unused_connections_total") >= 50
    assert "ended before their first request" in target.log.read_text()


def test_a_peer_that_vanished_is_given_up(make_server):
    """No end of the connection ever comes: its packets are dropped on the way, as by a router that lost its power."""
    server = make_server()
    with Others(server):
        before = metric(server, "postern_connections")
        vanished = connect(server)
        vanished.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        # TCP_REPAIR: closed without a word to the other side.
        try:
            vanished.setsockopt(socket.IPPROTO_TCP, 19, 1)
        except PermissionError:
            pytest.skip("only root may close a connection without a word")
        vanished.close()
        wait_for(lambda: metric(server, "postern_slow_requests_total") >= 1, "the deadline")
        wait_for(lambda: metric(server, "postern_connections") <= before + 3, "the end of the vanished")
    assert "no complete request within the time limit" in server.log.read_text()


# Large and malformed


@pytest.mark.parametrize("head", [
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50_000,
], ids=["uri", "one", "many", "long"])
def test_huge_headers_are_refused(target, head):
    with Others(target):
        connection = connect(target, target.tls)
        try:
            connection.sendall(head)
        except OSError:
            pass
        answer = everything(connection)
        assert re.match(rb"HTTP/1.1 4\d\d", answer), answer[:200]
    assert metric(target, "postern_bad_requests_total") >= 1 and "not valid HTTP" in target.log.read_text()


@pytest.mark.parametrize("body", [
    b"zz\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX0\r\n\r\n", b"ffffffffffffffffff\r\nx",
    b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n\r\n",
])
def test_bad_chunks_never_pass_as_a_body(server, body):
    ana = server.user("ana")
    with Others(server):
        connection = connect(server)
        try:
            connection.sendall(b"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ana.token.encode() +
                               b"\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        assert answers(connection) == [400]


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


LENGTHS = [b"", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"content-length: 5\r\nContent-Length: 5\r\n",
           b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: 5, 6\r\n", b"Content-Length: 5, 5\r\n",
           b"Content-Length: +5\r\n", b"Content-Length: -5\r\n", b"Content-Length: 5a\r\n", b"Content-Length: 0x5\r\n",
           b"Content-Length : 5\r\n", b" Content-Length: 5\r\n", b"Content-Length:\x0b5\r\n", b"Content-Length: 5\n",
           b"Content-Length: 99999999999999999999\r\n", b"Content-Length:\r\n"]
CODINGS = [b"", b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: CHUNKED\r\n", b"Transfer-Encoding: chunked, identity\r\n",
           b"Transfer-Encoding: identity, chunked\r\n", b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding : chunked\r\n",
           b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
           b"Transfer-Encoding: \"chunked\"\r\n", b"X: y\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
           b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding:\r\n chunked\r\n",
           b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding:\r\n"]
# What the RFC reads in one way only; everything else must be refused.
ONE_READING = {(b"Content-Length: 5\r\n", b""), (b"Content-Length: 0\r\n", b""), (b"", b""),
               (b"", b"Transfer-Encoding: chunked\r\n"), (b"", b"transfer-encoding: CHUNKED\r\n")}


def answers(connection):
    """The statuses of all answers, until the server ends the connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d)", everything(connection))]


@pytest.mark.parametrize("first", ["length", "coding"])
def test_every_pair_of_a_length_and_a_coding_is_refused_once_unless_it_has_one_reading(server, first):
    """What a proxy in front might take for a body must not be answered as a request of its own."""
    with Others(server):
        for length, coding in itertools.product(LENGTHS, CODINGS):
            if (length, coding) in ONE_READING:
                continue
            connection = connect(server)
            headers = length + coding if first == "length" else coding + length
            connection.sendall(b"POST /auth/token HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
            connection.shutdown(socket.SHUT_WR)
            assert answers(connection) == [400], (length, coding)
            connection.close()
    assert metric(server, "postern_bad_requests_total") >= 267
    assert server.log.read_text().count("not valid HTTP") <= 20


@pytest.mark.parametrize("request_, expected", [
    # A body that breaks: the refusal is its answer, also where the route would have answered by itself.
    (b"POST /auth/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", [400]),
    (b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", [400]),
    (b"POST /auth/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{\"us", [400]),
    # What was asked in order is answered, in order, and then what was not is refused.
    (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"\x00garbage\r\n\r\n", [200, 200, 200, 400]),
    (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [200, 400]),
    (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", [200, 400]),
    # Behind the last request nothing is read (RFC 9112, section 9.6).
    (b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + SMUGGLED, [200]),
    (b"GET /health HTTP/1.0\r\n\r\n" + SMUGGLED, [200]),
    (b"GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + SMUGGLED, [200]),
    # A head alone has no body that the next answer could be taken for.
    (b"HEAD /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", [200, 200]),
    # Another protocol that is not spoken here, first and later: it is answered, what follows is nobody's, and is not kept.
    (b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + SMUGGLED, [200]),
    (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + SMUGGLED, [200, 200]),
    # One host, no more and no less (RFC 9112, section 3.2).
    (b"GET /health HTTP/1.1\r\n\r\n", [400]),
    (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", [400]),
    (b"GET /health HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
])
def test_each_request_gets_one_answer_and_in_order(target, request_, expected):
    with Others(target):
        connection = connect(target, target.tls)
        connection.sendall(request_)
        # A request that is never finished ends with its connection.
        if not target.tls:
            connection.shutdown(socket.SHUT_WR)
        elif b"Length: 50" in request_:
            # Half-closing TLS is more than Python's ssl can do.
            return
        assert answers(connection) == expected
    assert "level=error" not in target.log.read_text()


def test_the_end_of_a_connection_is_not_the_end_of_a_body(server):
    """Half of what somebody meant to say is not done."""
    ana = server.user("ana")
    body = b'{"hostPublicKey": "k"}'
    connection = connect(server)
    connection.sendall(b"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ana.token.encode() +
                       b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (len(body) + 10) + body)
    connection.shutdown(socket.SHUT_WR)
    assert answers(connection) == [400]
    assert server.call("GET", "/sessions", token=ana.token)[1] in ([], {"sessions": []})


def test_a_flood_of_broken_requests_is_a_handful_of_lines(server):
    with Others(server):
        for _ in range(200):
            connection = connect(server)
            connection.sendall(b"POST /auth/sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            assert answers(connection) == [400]
            connection.close()
    assert metric(server, "postern_bad_requests_total") >= 200
    assert metric(server, 'postern_http_responses_total{status="5xx"}') == 0
    assert server.log.read_text().count("level=error") == 0
    assert 1 <= server.log.read_text().count("not valid HTTP") <= 10


def test_a_body_beyond_the_bound_is_refused_counted_and_logged(target):
    ana = target.user("ana")
    with Others(target):
        connection = connect(target, target.tls)
        try:
            connection.sendall(b"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ana.token.encode() +
                               b"\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n" + b" " * 200_000)
        except OSError:
            pass
        assert answers(connection) == [413]
    assert metric(target, "postern_large_bodies_total") == 1
    assert "too large" in target.log.read_text()


# Many


def test_a_flood_from_one_address_is_refused_with_one_log_line_and_others_go_on(make_server):
    server = make_server("--connections-per-address", "50")
    held = [connect(server) for _ in range(50)]
    # The address has its share; what comes now is closed before anything is read.
    refused = 0
    for _ in range(500):
        one = connect(server)
        try:
            one.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            refused += everything(one) == b""
        except OSError:
            refused += 1
        # Another address has its own share meanwhile.
        elsewhere = socket.create_connection(tuple(server.address.rsplit(":", 1)), PATIENCE, ("127.0.0.2", 0))
        elsewhere.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answers(elsewhere) == [200]
    assert refused == 500
    held.pop().close()
    wait_for(lambda: attempt(server), "a place")
    # The place is free again only when the server has seen the end of the connection that just asked.
    wait_for(lambda: refusals(server) >= 500, "the metric")
    lines = [line for line in server.log.read_text().splitlines() if "too many at once from one address" in line]
    assert 1 <= len(lines) <= 3
    for one in held:
        one.close()


@pytest.mark.parametrize("wanted", ["yes", "no"])
def test_addresses_are_logged_only_when_they_are_wanted(make_server, wanted):
    server = make_server("--connections-per-address", "1", "--log-addresses", wanted)
    held, refused = connect(server), connect(server)
    everything(refused)
    wait_for(lambda: "too many at once" in server.log.read_text(), "the line")
    assert ("address=127.0.0.1" in server.log.read_text()) == (wanted == "yes")
    held.close()


def refusals(server):
    try:
        return metric(server, "postern_connections_refused_total")
    except OSError:
        return 0


def attempt(server):
    try:
        return server.call("GET", "/health")[0] == 200
    except OSError:
        return False


def test_ten_thousand_idle_connections_keep_nobody_out(make_server):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = 10_000
    if hard < count + 500:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    server = make_server("--connections-per-address", "20000")
    before = server.rss()
    host, port = server.address.rsplit(":", 1)

    async def body():
        streams = []
        for start in range(0, count, 500):
            streams += await asyncio.gather(*(asyncio.open_connection(host, int(port)) for _ in range(500)))
        loop = asyncio.get_running_loop()
        answered = await asyncio.gather(*(loop.run_in_executor(None, server.call, "GET", "/health") for _ in range(50)))
        assert all(status == 200 for status, _ in answered)
        held = await loop.run_in_executor(None, metric, server, "postern_connections")
        each = (server.rss() - before) * 1024 / count
        print(f"\n{count} idle connections, {each:.1f} KiB each")
        assert held >= count and each < 32
        # None sent a request: all are cut at their deadline.
        for reader, writer in streams:
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()
    asyncio.run(body())
    assert metric(server, "postern_slow_requests_total") >= count
