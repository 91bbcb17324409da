"""Links out of closed networks: real proxies, a real web server in front, and networks that cut what is not HTTP."""

import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from acme import free_ports
from conftest import PATIENCE, make_pair, wait_for
from machines import enrolled, found, invite, machines  # noqa: F401
from tunnels import DOMAIN, PORTS, connect, curl, edge, get, hello, services, tunnels  # noqa: F401

# This machine, by an address that is no loopback one for a client: such are never asked through a proxy.
HERE = "0.0.0.0"


@pytest.fixture
def ana(edge):
    return edge.user("ana")


def listening(port):
    try:
        return socket.create_connection(("127.0.0.1", port), PATIENCE).close() or True
    except OSError:
        return False


@pytest.fixture
def processes():
    started = []

    def start(command, port):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        wait_for(lambda: process.poll() is None and listening(port), f"{command[0]} on port {port}")
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(PATIENCE)


def tinyproxy(directory, processes, allowed):
    [port] = free_ports(1)
    (directory / "tinyproxy.conf").write_text(
        f"Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 100\nAllow 127.0.0.1\nConnectPort {allowed}\n"
        f"LogFile \"{directory}/tinyproxy.log\"\nLogLevel Connect\n")
    processes([shutil.which("tinyproxy") or "/usr/bin/tinyproxy", "-d", "-c", str(directory / "tinyproxy.conf")], port)
    return port, directory / "tinyproxy.log"


def squid(directory, processes, allowed):
    [port] = free_ports(1)
    # Squid gives up root, and writes as another user then.
    user = "proxy" if os.geteuid() == 0 else None
    work = directory / "squid"
    work.mkdir()
    work.chmod(0o777)
    for above in (directory, *directory.parents[:3]):
        above.chmod(above.stat().st_mode | 0o055)
    (directory / "squid.conf").write_text(
        f"http_port 127.0.0.1:{port}\nacl SSL_ports port {allowed}\nacl CONNECT method CONNECT\n"
        "http_access deny CONNECT !SSL_ports\nhttp_access allow localhost\nhttp_access deny all\n"
        f"access_log stdio:{work}/access.log\ncache_log {work}/cache.log\ncache deny all\npid_filename {work}/pid\n"
        f"coredump_dir {work}\nnetdb_filename none\nshutdown_lifetime 0 seconds\npinger_enable off\n"
        + (f"cache_effective_user {user}\n" if user else ""))
    processes([shutil.which("squid") or "/usr/sbin/squid", "-N", "-f", str(directory / "squid.conf")], port)
    return port, work / "access.log"


@pytest.mark.parametrize("proxy", [tinyproxy, squid])
def test_a_link_goes_through_a_proxy_and_so_does_enrolling(edge, ana, machines, services, tmp_path, processes, proxy):
    port, log = proxy(tmp_path, processes, edge.port)
    edge.url = f"https://{HERE}:{edge.port}"
    box = machines(environment={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
    enrolled(edge, ana, box).start(f"tunnels:\n  web:\n    http: {services().port}\n")
    assert get(edge, box.online("web"))[0] == 200
    assert box.status()["way"] == "tls"
    wait_for(lambda: "CONNECT" in log.read_text() or f"{HERE}:{edge.port}" in log.read_text(), log.read_text)


class Cutter:
    """A network that closes every connection whose first bytes are a link's hello, as one that knows only browsers does."""

    def __init__(self, target):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = target
        self.cut = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        with client:
            first = client.recv(65536)
            if b"postern-link/1" in first:
                self.cut += 1
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                server.sendall(first)
                back = threading.Thread(target=self.copy, args=(server, client), daemon=True)
                back.start()
                self.copy(client, server)
                back.join()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_where_a_network_cuts_links_they_go_in_a_websocket(edge, ana, machines, services):
    cutter = Cutter(edge.port)
    box = enrolled(edge, ana, machines())
    enrolment = box.state / "machine.json"
    enrolment.write_text(enrolment.read_text().replace(f":{edge.port}", f":{cutter.port}"))
    body = os.urandom(8 << 20)

    def bulk(service, connection):
        while True:
            head, _ = service.head(connection)
            if head is None:
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    box.start(f"tunnels:\n  web:\n    http: {services(bulk).port}\n")
    host = box.online("web")
    assert box.status()["way"] == "websocket" and cutter.cut
    assert get(edge, host)[2] == body
    status = box.run("machine", "status").stdout
    assert "by TLS in a WebSocket" in status
    # What has worked is tried first when the link is lost.
    before = cutter.cut
    edge.restart()
    wait_for(lambda: found(ana, box)["state"] == "online", "a machine that came back")
    assert get(edge, box.online("web"))[2] == body and cutter.cut == before
    cutter.listener.close()


def test_behind_nginx_a_link_goes_in_a_websocket_with_its_own_tls_inside(make_server, machines, services, tmp_path, processes):
    """The manual's block. nginx ends TLS with a certificate of its own: it sees a WebSocket of ciphertext."""
    from test_proxy import Nginx
    ports = PORTS.take()
    server = make_server(
        "--trusted-proxies", "127.0.0.1", "--tunnel-ports", ports, "--tunnel-port-address", "127.0.0.1",
        "--public-url", "https://box.example")
    ana = server.user("ana")
    nginx = Nginx(tmp_path / "nginx", server.address)
    try:
        wait_for(nginx.listens, "nginx")
        code = ana.call("POST", "/machines/invitations")[1]["code"]
        box = machines()
        answer = box.run(
            "machine", "enroll", f"https://localhost:{nginx.port}", code, "--fingerprint", nginx.fingerprint, "--name", "box")
        assert answer.returncode == 0, answer.stderr

        def echo(service, connection):
            while data := connection.recv(4096):
                connection.sendall(data)
        box.start(f"tunnels:\n  echo:\n    tcp: {services(echo).port}\n")
        box.online("echo")
        assert box.status()["way"] == "websocket"
        port = int(box.tunnel("echo")["url"].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as visitor:
            visitor.sendall(b"ping")
            assert visitor.recv(4) == b"ping"
        # The machine's own address, and not nginx's.
        assert ana.call("GET", "/machines/box")[1]["address"] == "127.0.0.1"
    finally:
        nginx.close()


def test_a_person_s_tunnel_takes_the_same_ways(edge, ana, tunnels, services):
    cutter = Cutter(edge.port)
    ana.server.url = f"https://127.0.0.1:{cutter.port}"
    tunnel = tunnels(ana, "http", str(services().port)).online()
    assert get(edge, tunnel.host)[0] == 200 and cutter.cut
    cutter.listener.close()


def test_a_websocket_to_somebody_else_s_server_is_no_way_out(edge, ana, machines, services, make_server, tmp_path):
    """Whoever ends the outer TLS cannot stand in for the server: the inner one knows its key."""
    box = enrolled(edge, ana, machines())
    stranger = edge.__class__(tmp_path / "stranger", tls=True).start()
    try:
        enrolment = box.state / "machine.json"
        enrolment.write_text(enrolment.read_text().replace(f":{edge.port}", f":{stranger.url.rsplit(':', 1)[1]}"))
        box.begin(f"tunnels:\n  web:\n    http: {services().port}\n")
        wait_for(lambda: "not connected" in box.text(), "a refusal")
        reason = box.status()["reason"]
        assert "key" in reason or "expected" in reason, reason
        assert box.status()["isOnline"] is False
    finally:
        stranger.stop()
