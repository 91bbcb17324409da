"""A server with a tunnel domain, commands that serve tunnels, and visitors."""

import http.client
import json
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import PATIENCE, POSTERN, make_pair, wait_for

DOMAIN = "t.test"


class Tunnel:
    """`postern http|tcp|tls --json`: its address, and its events as they come."""

    def __init__(self, user, *arguments):
        self.process = subprocess.Popen(
            [POSTERN, *arguments, "--json"], env=user.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.events = []
        self.condition = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.condition:
                self.events.append(json.loads(line))
                self.condition.notify_all()
        with self.condition:
            self.events.append({"event": "exit"})
            self.condition.notify_all()

    def wait(self, event, count=1, **fields):
        """The `count`-th event of this kind."""
        def found():
            return [one for one in self.events
                    if one["event"] == event and all((one.get("request") or one).get(key) == value for key, value in fields.items())]
        with self.condition:
            ok = self.condition.wait_for(lambda: len(found()) >= count or self.events[-1:] == [{"event": "exit"}], PATIENCE)
            assert ok and len(found()) >= count, f"no {event} {fields}: {self.events} {self.errors()}"
            return found()[count - 1]

    def errors(self):
        return self.process.stderr.read() if self.process.poll() is not None else ""

    def online(self):
        self.url = self.wait("online")["url"]
        self.host, _, port = self.url.split("://")[1].partition(":")
        self.port = int(port or 443)
        return self

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


class Service:
    """A web server of the test's own: `answer(handler)` writes to a socket, for what no library lets one write."""

    def __init__(self, answer):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.answer = answer
        self.connections = 0
        self.requests = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                self.answer(self, connection)
            except OSError:
                pass

    def head(self, connection):
        """The next request's head, and what came behind it."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                return None, b""
            data += part
        head, rest = data.split(b"\r\n\r\n", 1)
        self.requests.append(head.decode("latin-1"))
        return head.decode("latin-1"), rest

    def close(self):
        self.listener.close()


def hello(service, connection):
    """Answers every request with its own head."""
    while True:
        head, _ = service.head(connection)
        if head is None:
            return
        body = head.encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n" % len(body) + body)


@pytest.fixture
def edge(make_server, tmp_path):
    """A server with a wildcard certificate for its tunnels."""
    authority = make_pair(tmp_path, f"*.{DOMAIN}")
    server = make_server(
        "--tunnel-domain", DOMAIN, "--tunnel-certificate", str(tmp_path / "cert.pem"), "--tunnel-key",
        str(tmp_path / "key.pem"), "--tunnel-ports", PORTS.take(), "--tunnel-port-address", "127.0.0.1", "--abuse-contact", "abuse@example.org",
        "--joins-per-minute", "100000", "--public-calls-per-minute", "100000", "--connections-per-address", "100000", tls=True)
    server.authority = authority
    server.port = int(server.url.rsplit(":", 1)[1])
    return server


class PORTS:
    """Ranges that no two tests of a run use at once: one for each worker, in turns."""

    turn = 0

    @classmethod
    def take(cls):
        import os
        worker = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0")[2:])
        cls.turn += 1
        first = 22000 + worker * 1000 + cls.turn % 90 * 10
        return f"{first}-{first + 9}"


@pytest.fixture
def tunnels():
    """Ends every tunnel that a test opened."""
    opened = []

    def open(user, *arguments):
        tunnel = Tunnel(user, *arguments)
        opened.append(tunnel)
        return tunnel

    yield open
    for tunnel in opened:
        tunnel.end()


@pytest.fixture
def services():
    made = []

    def make(answer=hello):
        service = Service(answer)
        made.append(service)
        return service

    yield make
    for service in made:
        service.close()


def connect(server, host, alpn=None):
    """A visitor's TLS connection by name."""
    context = ssl.create_default_context(cafile=server.authority)
    if alpn:
        context.set_alpn_protocols(alpn)
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    # An end without a close_notify is an error, and not an end.
    return context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)


def get(server, host, path="/", method="GET", body=None, headers=None, connection=None):
    """One request: (status, headers, body)."""
    client = connection or Visitor(server, host)
    client.request(method, path, body=body, headers={"Host": host, **(headers or {})},
                   encode_chunked="Transfer-Encoding" in (headers or {}))
    answer = client.getresponse()
    content = answer.read()
    if connection is None:
        client.close()
    return answer.status, answer.headers, content


class Visitor(http.client.HTTPConnection):
    """A kept connection of a visitor."""

    def __init__(self, server, host):
        super().__init__(host, server.port, timeout=PATIENCE)
        self.server = server

    def connect(self):
        self.sock = connect(self.server, self.host)


def raw(server, host, request, until_close=True):
    """What comes back for exactly these bytes."""
    with connect(server, host) as visitor:
        visitor.sendall(request)
        data = b""
        while True:
            try:
                part = visitor.recv(65536)
            except (ssl.SSLError, OSError) as error:
                return data, error
            if not part:
                return data, None
            data += part


def curl(server, host, path="/", *options, port=None, data=None):
    port = port or server.port
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--cacert", server.authority,
         "--resolve", f"{host}:{port}:127.0.0.1", *options, f"https://{host}:{port}{path}"], input=data, capture_output=True)
