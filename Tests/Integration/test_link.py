"""The link as a machine that somebody else wrote: what the protocol says is enough, and what it forbids ends the link."""

import json
import socket
import ssl
import struct
import subprocess
import threading

import pytest

from conftest import PATIENCE, wait_for
from tunnels import connect, edge, get, services, tunnels  # noqa: F401

HELLO, WELCOME, OPEN, ACCEPT, REJECT, DATA, FIN, RESET, CREDIT, PING, PONG, GOAWAY, CALL, ANSWER = range(1, 15)


@pytest.fixture
def ana(edge):
    return edge.user("ana")


class Machine:
    """A client of docs/link-protocol.md in a few lines."""

    def __init__(self, server, token=None, alpn=("postern-link/1",), greet=True):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(list(alpn))
        self.socket = context.wrap_socket(
            socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE), suppress_ragged_eofs=True)
        self.buffer = b""
        if greet:
            self.send(HELLO, 0, json.dumps(
                {"versions": [1], "software": "test", "token": token, "credit": 65536, "capabilities": [], "instance": "test"}))

    def send(self, type, stream, payload=b"", flags=0):
        payload = payload.encode() if isinstance(payload, str) else payload
        self.socket.sendall(struct.pack(">BBHII", type, flags, 0, stream, len(payload)) + payload)

    def read(self, count):
        while len(self.buffer) < count:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError
            self.buffer += part
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def frame(self):
        type, _, _, stream, length = struct.unpack(">BBHII", self.read(12))
        return type, stream, self.read(length)

    def expect(self, wanted, stream=None):
        """The next frame of this type; pings are answered."""
        while True:
            type, number, payload = self.frame()
            if type == PING and wanted != PING:
                self.send(PONG, 0, payload)
            if type == wanted and stream in (None, number):
                return number, payload

    def call(self, **call):
        self.send(CALL, 0, struct.pack(">I", 1) + json.dumps(call).encode())
        return json.loads(self.expect(ANSWER)[1][4:])

    def end(self):
        """What the server says before it closes."""
        try:
            said = json.loads(self.expect(GOAWAY)[1])
        except (EOFError, OSError):
            return None
        with pytest.raises((EOFError, OSError)):
            while True:
                self.frame()
        return said

    def close(self):
        self.socket.close()


def serve(edge, ana, name="demo"):
    """A machine that serves an http tunnel."""
    status, tunnel = ana.call("POST", "/tunnels", {"kind": "http", "name": name})
    assert status == 201, tunnel
    machine = Machine(edge, ana.token)
    machine.expect(WELCOME)
    assert machine.call(call="tunnel.start", tunnel=tunnel["id"]) == {}
    return machine, f"{name}.t.test"


def test_the_document_is_enough_to_write_another_client(edge, ana):
    machine, host = serve(edge, ana)
    visitor = connect(edge, host)
    visitor.sendall(f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    stream, opening = machine.expect(OPEN)
    opening = json.loads(opening)
    assert stream % 2 == 0 and opening["host"] == host and opening["kind"] == "tunnel" and opening["peer"].startswith("127.0.0.1:")
    machine.send(ACCEPT, stream)
    assert machine.expect(DATA, stream)[1].startswith(b"GET /a HTTP/1.1\r\n")
    machine.send(DATA, stream, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    data = b""
    while not data.endswith(b"hello"):
        data += visitor.recv(1000)
    # Kept for the next request, on the same stream.
    visitor.sendall(f"GET /b HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert machine.expect(DATA, stream)[1].startswith(b"GET /b HTTP/1.1\r\n")
    visitor.close()
    assert struct.unpack(">I", machine.expect(RESET, stream)[1]) == (1,)
    machine.send(RESET, stream, struct.pack(">I", 1))
    # A frame of a newer version that may be ignored is ignored.
    machine.send(99, 0, b"what is this", flags=0x80)
    machine.send(PING, 0, b"12345678")
    assert machine.expect(PONG)[1] == b"12345678"
    machine.close()
    wait_for(lambda: get(edge, host)[0] == 503, "the server to notice")


def test_who_may_open_a_link(edge, ana):
    for token, code in (("pst_nonsense", "unauthorized"), (None, "unauthorized"), ("", "unauthorized")):
        machine = Machine(edge, token)
        assert machine.end()["code"] == code
        machine.close()
    # Somebody else's tunnel is unknown.
    _, tunnel = ana.call("POST", "/tunnels", {"kind": "http", "name": "hers"})
    ben = edge.user("ben")
    machine = Machine(edge, ben.token)
    machine.expect(WELCOME)
    assert machine.call(call="tunnel.start", tunnel=tunnel["id"])["error"]["statusCode"] == 404
    machine.close()
    # A version that is not spoken here.
    machine = Machine(edge, greet=False)
    machine.send(HELLO, 0, json.dumps(
        {"versions": [7], "software": "x", "token": ana.token, "credit": 0, "capabilities": [], "instance": "x"}))
    assert machine.end()["code"] == "version"
    machine.close()


def open_stream(machine, edge, host):
    """A visitor's stream, accepted; with the visitor."""
    visitor = connect(edge, host)
    visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    stream, _ = machine.expect(OPEN)
    machine.send(ACCEPT, stream)
    machine.expect(DATA, stream)
    return stream, visitor


VIOLATIONS = {
    "a length": lambda machine, stream: machine.send(DATA, stream, b"x" * 65537),
    "a type": lambda machine, stream: machine.send(77, 0),
    "reserved bits": lambda machine, stream: machine.socket.sendall(struct.pack(">BBHII", PING, 0, 1, 0, 8) + b"12345678"),
    "a stream that never was": lambda machine, stream: machine.send(DATA, stream + 40, b"x"),
    "a stream of ours": lambda machine, stream: machine.send(OPEN, 2, b"{}"),
    "a credit beyond its bound": lambda machine, stream: machine.send(CREDIT, stream, struct.pack(">QQ", 0, 1 << 62)),
    "a credit that goes down": lambda machine, stream: machine.send(CREDIT, stream, struct.pack(">QQ", 0, 1)),
    "credit for what was not sent": lambda machine, stream: machine.send(CREDIT, stream, struct.pack(">QQ", 1 << 20, 1 << 21)),
    "more than was granted": lambda machine, stream: [machine.send(DATA, stream, b"x" * 60000) for _ in range(2000)],
    "an end at another place": lambda machine, stream: machine.send(FIN, stream, struct.pack(">Q", 5)),
    "data behind the end": lambda machine, stream: (machine.send(FIN, stream, struct.pack(">Q", 0)), machine.send(DATA, stream, b"x")),
    "a second greeting": lambda machine, stream: machine.send(HELLO, 0, b"{}"),
    "an answer to nothing": lambda machine, stream: machine.send(ANSWER, 0, struct.pack(">I", 9) + b"{}"),
    "pings": lambda machine, stream: [machine.send(PING, 0, b"12345678") for _ in range(100)],
    "empty frames": lambda machine, stream: [machine.send(DATA, stream) for _ in range(3000)],
    "resets": lambda machine, stream: [machine.send(RESET, 2, struct.pack(">I", 1)) for _ in range(100)],
    "streams": lambda machine, stream: [machine.send(OPEN, 2 * number + 1, json.dumps(
        {"kind": "tunnel", "tunnel": "t", "peer": "", "host": "", "trace": ""})) for number in range(100)],
    "calls": lambda machine, stream: [machine.send(CALL, 0, struct.pack(">I", number) + b"{}") for number in range(500)],
}


@pytest.mark.parametrize("what", VIOLATIONS)
def test_what_a_machine_may_not_send_ends_its_link_and_nobody_elses(edge, ana, tunnels, services, what):
    other = tunnels(ana, "http", str(services().port), "--name", "other").online()
    machine, host = serve(edge, ana)
    stream, visitor = open_stream(machine, edge, host)
    try:
        VIOLATIONS[what](machine, stream)
    except OSError:
        # Cut while it was still sending.
        pass
    said = machine.end()
    # What it sent is no answer: the visitor has one of the edge's, and the stream is over; then too much is too much for the link.
    # A flood that is cut while it goes on may lose the reason with the connection.
    assert said is None or said["code"] in ("protocol_error", "flow_control", "flood"), said
    # It is the server that ends the link, and counts why.
    wait_for(lambda: "postern_link_violations_total 1\n" in edge.page("/metrics"), "the violation to be counted")
    machine.close()
    visitor.close()
    assert get(edge, other.host)[0] == 200
    wait_for(lambda: get(edge, host)[0] == 503, "the tunnel to be offline")
    assert edge.call("GET", "/health")[0] == 200


def test_a_machine_that_says_nothing_is_cut_off(edge):
    machine = Machine(edge, greet=False)
    assert machine.end()["code"] == "no_hello"
    machine.close()
    machine = Machine(edge, greet=False)
    machine.socket.sendall(struct.pack(">BBHII", HELLO, 0, 0, 0, 16000) + b"x" * 30000)
    assert machine.end()["code"] == "protocol_error"
    machine.close()


def s_client(edge, *options, data=b"", **more):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-ign_eof", *options], input=data, capture_output=True,
        timeout=PATIENCE, **more)


def test_the_links_tls_is_its_own(edge, tmp_path):
    """TLS 1.3 alone, no tickets, another certificate, and no ticket of the website opens it; a browser is asked for no certificate."""
    link = s_client(edge, "-alpn", "postern-link/1").stdout.decode()
    assert "ALPN protocol: postern-link/1" in link and "CN = postern-link" in link and "TLSv1.3" in link
    assert "Post-Handshake New Session Ticket" not in link and "Acceptable client certificate CA names" not in link
    assert "Requested Signature Algorithms" in link, "the link asks for a client certificate"
    assert s_client(edge, "-alpn", "postern-link/1", "-tls1_2").returncode != 0
    # Several protocols are a browser's list, and the link's name in it means nothing.
    mixed = s_client(edge, "-alpn", "http/1.1,postern-link/1", data=b"GET /health HTTP/1.0\r\n\r\n").stdout.decode()
    assert "ALPN protocol: http/1.1" in mixed and "Requested Signature Algorithms" not in mixed
    ticket = tmp_path / "ticket"
    first = s_client(edge, "-alpn", "http/1.1", "-sess_out", str(ticket), data=b"GET /health HTTP/1.0\r\n\r\n")
    assert ticket.exists(), first.stderr
    again = s_client(edge, "-alpn", "http/1.1", "-sess_in", str(ticket), data=b"GET /health HTTP/1.0\r\n\r\n").stdout.decode()
    assert "Reused, TLSv1.3" in again
    resumed = s_client(edge, "-alpn", "postern-link/1", "-sess_in", str(ticket)).stdout.decode()
    assert "Reused" not in resumed and "New, TLSv1.3" in resumed
    pinned = edge.call("GET", "/link")[1]["key"]
    certificate = link[link.index("-----BEGIN"):link.index("-----END") + 25]
    key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=certificate.encode(), capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, capture_output=True, check=True).stdout
    import hashlib
    assert pinned == "sha256:" + hashlib.sha256(der).hexdigest()


def test_a_reader_that_stands_still_holds_up_nobody_else(edge, ana, tunnels):
    """32 visitors ask for much and read nothing; the others go on, and what waits for the 32 is bounded."""
    blob = b"x" * (1 << 20)

    def endless(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    part = connection.recv(65536)
                    if not part:
                        return
                    head += part
                if b"/small" in head:
                    return connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    connection.sendall(blob)
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        threading.Thread(target=endless, args=(listener,), daemon=True).start()
        tunnel = tunnels(ana, "http", str(listener.getsockname()[1])).online()
        before = edge.rss()
        still = []
        for _ in range(32):
            visitor = connect(edge, tunnel.host)
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {tunnel.host}\r\n\r\n".encode())
            assert visitor.recv(100)
            still.append(visitor)
        for _ in range(50):
            assert get(edge, tunnel.host, "/small")[2] == b"ok"
        # Bounded by what is granted: at most 256 MiB for all tunnels.
        assert edge.rss() - before < 300, edge.rss()
        for visitor in still:
            visitor.close()
        for _ in range(10):
            assert get(edge, tunnel.host, "/small")[2] == b"ok"
