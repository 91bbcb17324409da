"""`postern http`, `postern tcp` and `postern tls` for real: a server, a command, services and visitors that others wrote."""

import asyncio
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
from pathlib import Path

import pytest
import websockets

from acme import free_ports
from conftest import PATIENCE, POSTERN, clean_environment, make_pair, wait_for
from people import Browser, Person
from tunnels import DOMAIN, Visitor, connect, curl, edge, get, hello, raw, services, tunnels  # noqa: F401


@pytest.fixture
def ana(edge):
    return edge.user("ana")


def serve(directory, children, *, where="127.0.0.1"):
    """Python's own web server; returns its port."""
    process = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "--bind", where, "0"], cwd=directory, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    children.append(process)
    return re.search(r"port (\d+)", process.stdout.readline()).group(1)


# HTTP


def test_a_friend_opens_what_the_command_prints(edge, ana, tunnels, tmp_path, children):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("hello, friend\n")
    tunnel = tunnels(ana, "http", serve(site, children)).online()
    assert re.fullmatch(rf"https://[a-z]+-[a-z]+-[a-z]+\.t\.test:{edge.port}", tunnel.url)
    assert tunnel.wait("online")["trusted"] is True
    answer = curl(edge, tunnel.host, "/", "--include")
    assert answer.returncode == 0 and b"HTTP/1.1 200 OK" in answer.stdout and answer.stdout.endswith(b"hello, friend\n"), answer
    seen = tunnel.wait("request", path="/")["request"]
    assert seen["status"] == 200 and seen["method"] == "GET" and seen["from"] == "127.0.0.1"
    # The name is free again for its owner and for nobody else.
    name = tunnel.host.split(".")[0]
    tunnel.end()
    assert curl(edge, tunnel.host).stdout.startswith(b'{"code":"POSTERN-NO-TUNNEL"')
    ben = edge.user("ben")
    status, refusal = ben.call("POST", "/tunnels", {"kind": "http", "name": name})
    assert status == 409 and refusal["code"] == "name_taken"


def test_bodies_of_any_size_arrive_as_they_are(edge, ana, tunnels, services):
    """Length, chunks, an end by close; upwards too; and a request for each on one connection."""
    blob = os.urandom(5 << 20)

    def answer(service, connection):
        while True:
            head, rest = service.head(connection)
            if head is None:
                return
            if head.startswith("POST"):
                body = rest
                if "Content-Length" in head:
                    length = int(re.search(r"Content-Length: (\d+)", head).group(1))
                    while len(body) < length:
                        body += connection.recv(1 << 20)
                else:
                    while not body.endswith(b"0\r\n\r\n"):
                        body += connection.recv(1 << 20)
                    plain = b""
                    while body:
                        size, body = body.split(b"\r\n", 1)
                        plain, body = plain + body[:int(size, 16)], body[int(size, 16) + 2:]
                    body = plain
                digest = hashlib.sha256(body).hexdigest().encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(digest) + digest)
            elif "/chunks" in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for start in range(0, len(blob), 100_000):
                    part = blob[start:start + 100_000]
                    connection.sendall(b"%x\r\n" % len(part) + part + b"\r\n")
                connection.sendall(b"0\r\nDigest: %s\r\n\r\n" % hashlib.sha256(blob).hexdigest().encode())
            elif "/close" in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + blob)
                return
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(blob) + blob)

    tunnel = tunnels(ana, "http", str(services(answer).port)).online()
    visitor = Visitor(edge, tunnel.host)
    for path in ("/", "/chunks", "/close", "/"):
        assert get(edge, tunnel.host, path, connection=visitor)[2] == blob, path
    digest = hashlib.sha256(blob).hexdigest().encode()
    assert get(edge, tunnel.host, "/", "POST", blob, connection=visitor)[2] == digest
    pieces = (blob[start:start + 77_777] for start in range(0, len(blob), 77_777))
    assert get(edge, tunnel.host, "/", "POST", pieces, {"Transfer-Encoding": "chunked"}, visitor)[2] == digest
    sock = visitor.sock
    assert get(edge, tunnel.host, connection=visitor)[2] == blob and visitor.sock is sock, "the connection was not kept"
    # Trailers, as curl sees them.
    answer = curl(edge, tunnel.host, "/chunks", "--include", "--raw", "--output", "-")
    assert b"\r\nDigest: %s\r\n\r\n" % digest in answer.stdout


def test_what_the_service_learns_of_its_visitor(edge, ana, tunnels, services):
    service = services()
    tunnel = tunnels(ana, "http", str(service.port)).online()
    _, _, head = get(edge, tunnel.host, "/a%2Fb?x=%20", headers={
        "X-Forwarded-For": "1.2.3.4", "Forwarded": "for=1.2.3.4", "X-Postern-User": "root", "Cookie": "a=b; __Host-postern-seen=1"})
    lines = head.decode().split("\r\n")
    assert lines[0] == "GET /a%2Fb?x=%20 HTTP/1.1" and f"Host: {tunnel.host}" in lines
    assert "X-Forwarded-For: 127.0.0.1" in lines and "X-Forwarded-Proto: https" in lines and "Cookie: a=b" in lines
    assert not any("1.2.3.4" in line or "Postern" in line for line in lines)
    other = tunnels(ana, "http", str(service.port), "--host-header", "localhost:3000").online()
    assert b"Host: localhost:3000\r\n" in get(edge, other.host)[2]


def test_a_service_keeps_its_connection_for_others_and_closes_it_without_anybody_noticing(edge, ana, tunnels, services):
    """Services close unused connections when they like: a request that meets that is sent again."""
    def answer(service, connection):
        # Two requests a connection, without a word that the second is the last.
        for _ in range(2):
            head, _ = service.head(connection)
            if head is None:
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    service = services(answer)
    tunnel = tunnels(ana, "http", str(service.port)).online()
    visitor = Visitor(edge, tunnel.host)
    for number in range(50):
        assert get(edge, tunnel.host, f"/{number}", connection=visitor)[0] == 200
    assert len(service.requests) == 50
    assert service.connections <= 30


def test_streams_and_sockets(edge, ana, tunnels, services):
    """Server-sent events arrive as they are sent; WebSockets in both directions, as a library speaks them."""
    go = threading.Semaphore(0)

    def answer(service, connection):
        head, _ = service.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            connection.sendall(b"data: %d\n\n" % number)
            go.acquire(timeout=PATIENCE)

    tunnel = tunnels(ana, "http", str(services(answer).port)).online()
    with connect(edge, tunnel.host) as visitor:
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {tunnel.host}\r\n\r\n".encode())
        data = b""
        for number in range(3):
            while b"data: %d\n\n" % number not in data:
                data += visitor.recv(65536)
            go.release()

    async def sockets():
        async def echo(connection):
            async for message in connection:
                await connection.send(message)

        async with websockets.serve(echo, "127.0.0.1", 0, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            other = await asyncio.to_thread(lambda: tunnels(ana, "http", str(port)).online())
            context = ssl.create_default_context(cafile=edge.authority)
            async with websockets.connect(
                    f"wss://{other.host}:{edge.port}/", ssl=context, host="127.0.0.1", server_hostname=other.host,
                    max_size=None) as visitor:
                for message in ("hello", b"\x00\xff" * 500_000, "x" * 100_000):
                    await visitor.send(message)
                    assert await visitor.recv() == message
        return other

    asyncio.run(sockets()).wait("request", status=101)


def test_what_stands_between_a_visitor_and_the_service(edge, ana, tunnels, services, tmp_path):
    service = services()
    secrets = tmp_path / "secrets"
    secrets.write_text("# who may look\nguest:correct-horse\n")
    tunnel = tunnels(ana, "http", str(service.port), "--basic-auth", f"@{secrets}", "--path", "/open").online()
    status, headers, body = get(edge, tunnel.host, "/open")
    assert status == 401 and "Basic" in headers["WWW-Authenticate"] and json.loads(body)["code"] == "POSTERN-PASSWORD"
    right = {"Authorization": "Basic " + base64.b64encode(b"guest:correct-horse").decode()}
    status, _, head = get(edge, tunnel.host, "/open/x", headers=right)
    assert status == 200 and b"Authorization" not in head
    wrong = {"Authorization": "Basic " + base64.b64encode(b"guest:correct-horsf").decode()}
    assert get(edge, tunnel.host, "/open", headers=wrong)[0] == 401
    for path in ("/", "/opened", "/open/../x", "/open/%2e%2e/x"):
        assert get(edge, tunnel.host, path, headers=right)[0] == 404
    assert len(service.requests) == 1

    closed = tunnels(ana, "http", str(service.port), "--allow", "203.0.113.0/24").online()
    assert json.loads(get(edge, closed.host)[2])["code"] == "POSTERN-ADDRESS"
    kept_out = tunnels(ana, "http", str(service.port), "--deny", "127.0.0.0/8").online()
    assert get(edge, kept_out.host)[0] == 403
    assert len(service.requests) == 1
    # What cannot be read opens nothing.
    for arguments in (["--allow", "nonsense"], ["--basic-auth", "guest:short"], ["--path", "open"]):
        failed = tunnels(ana, "http", str(service.port), *arguments)
        failed.wait("ended")
        assert failed.process.wait(PATIENCE) == 1
    (tmp_path / "empty").write_text("\n")
    assert tunnels(ana, "http", str(service.port), "--basic-auth", f"@{tmp_path / 'empty'}").process.wait(PATIENCE) == 1


def test_answers_of_the_edge_have_a_code_and_a_page(edge, ana, tunnels, services):
    def silent(service, connection):
        service.head(connection)
        connection.recv(1)

    def broken(service, connection):
        head, _ = service.head(connection)
        if "/half" in head:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif "/bad" in head:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")

    def code(host, path="/"):
        status, _, body = get(edge, host, path)
        return status, json.loads(body)["code"]

    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    assert code(f"nobody.{DOMAIN}") == (404, "POSTERN-NO-TUNNEL")
    refused = tunnels(ana, "http", str(port)).online()
    assert code(refused.host) == (502, "POSTERN-REFUSED")
    late = tunnels(ana, "http", str(services(silent).port), "--timeout", "1").online()
    assert code(late.host) == (504, "POSTERN-TIMEOUT")
    bad = tunnels(ana, "http", str(services(broken).port), "--name", "kept").online()
    assert code(bad.host) == (502, "POSTERN-BROKEN")
    assert code(bad.host, "/bad") == (502, "POSTERN-BAD-ANSWER")
    # An answer that breaks off must not look whole: RST, and no close_notify.
    data, error = raw(edge, bad.host, f"GET /half HTTP/1.1\r\nHost: {bad.host}\r\n\r\n".encode())
    assert data.endswith(b"half") and error is not None
    page = get(edge, f"nobody.{DOMAIN}", headers={"Accept": "text/html,*/*"})
    assert page[1]["Content-Type"].startswith("text/html") and b"POSTERN-NO-TUNNEL" in page[2]
    assert b'href="/.well-known/postern-abuse"' in page[2]
    assert b"abuse@example.org" in get(edge, bad.host, "/.well-known/postern-abuse")[2]
    bad.end()
    status, _, body = get(edge, bad.host)
    assert status == 503 and json.loads(body)["code"] == "POSTERN-OFFLINE" and "last seen" in json.loads(body)["message"]
    # Each of them is explained.
    explained = (Path(__file__).resolve().parents[2] / "docs/tunnel-errors.md").read_text()
    source = (Path(__file__).resolve().parents[2] / "Sources/Tunnels/HTTP/EdgeAnswer.swift").read_text()
    for one in re.findall(r'EdgeAnswer\(\s*\d+, "([A-Z-]+)"', source):
        assert f"`POSTERN-{one}`" in explained, one


def test_routing_follows_each_requests_host_and_names_of_the_server_stay_its_own(edge, ana, tunnels, services):
    one, two = services(), services()
    first = tunnels(ana, "http", str(one.port)).online()
    second = tunnels(ana, "http", str(two.port)).online()
    # Two hosts on one connection, again and again, whatever event loop each is on.
    visitor = Visitor(edge, first.host)
    for _ in range(5):
        assert get(edge, first.host, connection=visitor)[0] == 200
        assert get(edge, second.host, connection=visitor)[0] == 200
    assert len(one.requests) == 5 and len(two.requests) == 5
    assert get(edge, "box.example", connection=Visitor(edge, first.host))[0] == 421
    # And the other way round.
    context = ssl._create_unverified_context()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", edge.port)), server_hostname="localhost") as own:
        own.sendall(f"GET /health HTTP/1.1\r\nHost: {first.host}\r\nConnection: close\r\n\r\n".encode())
        assert own.recv(65536).startswith(b"HTTP/1.1 421")


def test_files_of_a_directory(edge, ana, tunnels, tmp_path):
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / ".git").mkdir()
    (site / ".git/config").write_text("secret")
    (site / "index.html").write_text("<h1>home</h1>")
    (site / "sub/a b.txt").write_text("0123456789")
    (site / "out").symlink_to("/etc/passwd")
    (site / "in").symlink_to("sub/a b.txt")
    tunnel = tunnels(ana, "http", "--directory", str(site)).online()
    status, headers, body = get(edge, tunnel.host)
    assert (status, body) == (200, b"<h1>home</h1>") and headers["Content-Type"] == "text/html; charset=utf-8"
    assert get(edge, tunnel.host, "/sub/a%20b.txt")[2] == b"0123456789" == get(edge, tunnel.host, "/in")[2]
    status, headers, body = get(edge, tunnel.host, "/sub/a%20b.txt", headers={"Range": "bytes=2-4"})
    assert (status, body, headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    tag = headers["ETag"]
    assert get(edge, tunnel.host, "/sub/a%20b.txt", headers={"If-None-Match": tag})[0] == 304
    assert get(edge, tunnel.host, "/sub/a%20b.txt", "HEAD")[1]["Content-Length"] == "10"
    assert get(edge, tunnel.host, "/sub")[0] == 301
    for path in ("/.git/config", "/out", "/sub/", "/none", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/sub/%2e%2e/.git/config", "/%00"):
        assert get(edge, tunnel.host, path)[0] == 404, path
    assert get(edge, tunnel.host, "/", "POST", b"x")[0] == 405
    listed = tunnels(ana, "http", "--directory", str(site), "--list").online()
    page = get(edge, listed.host, "/sub/")[2]
    assert b'href="a%20b.txt"' in page and b".git" not in page
    big = os.urandom(20 << 20)
    (site / "big").write_bytes(big)
    assert get(edge, tunnel.host, "/big")[2] == big


def test_a_service_that_speaks_tls_itself(edge, ana, tunnels, tmp_path, children):
    directory = tmp_path / "upstream"
    directory.mkdir()
    authority = make_pair(directory, "localhost")
    (directory / "index.html").write_text("secure\n")
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", "-WWW"], cwd=directory,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    children.append(process)
    port = next(line for line in process.stdout if line.startswith("ACCEPT")).rsplit(":", 1)[1].strip()
    right = tunnels(ana, "http", f"https://localhost:{port}", "--upstream-ca", authority).online()
    assert get(edge, right.host, "/index.html")[2] == b"secure\n"
    wrong = tunnels(ana, "http", f"https://localhost:{port}").online()
    assert get(edge, wrong.host, "/index.html")[0] == 502
    loud = tunnels(ana, "http", f"https://localhost:{port}", "--upstream-insecure").online()
    assert get(edge, loud.host, "/index.html")[2] == b"secure\n"


def test_web_servers_that_others_wrote(edge, ana, tunnels, tmp_path, children):
    """nginx and Caddy behind a tunnel, curl in front: pages, ranges, an upload refused by the service itself."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "page.html").write_text("page\n")
    (root / "blob").write_bytes(os.urandom(3 << 20))
    (tmp_path / "nginx.conf").write_text(f"""
        user root; daemon off; pid {tmp_path}/nginx.pid; error_log /dev/null;
        events {{ }}
        http {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f;
          uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s; client_max_body_size 1k;
          server {{ listen unix:{tmp_path}/unused; }} server {{ listen 127.0.0.1:0; root {root}; }} }}""".replace(
              "127.0.0.1:0", f"127.0.0.1:{(nginx := free_port())}"))
    children.append(subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL))
    caddy = free_port()
    children.append(subprocess.Popen(
        ["caddy", "file-server", "--listen", f"127.0.0.1:{caddy}", "--root", str(root)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "HOME": str(tmp_path)}))
    for port in (nginx, caddy):
        wait_for(lambda: listens(port), "the web server")
        tunnel = tunnels(ana, "http", str(port)).online()
        assert curl(edge, tunnel.host, "/page.html").stdout == b"page\n"
        assert curl(edge, tunnel.host, "/blob", "--range", "100-199").stdout == (root / "blob").read_bytes()[100:200]
        assert curl(edge, tunnel.host, "/blob").stdout == (root / "blob").read_bytes()
        status = curl(edge, tunnel.host, "/page.html", "--data-binary", "@" + str(root / "blob"), "--write-out", "%{http_code}",
                      "--output", "/dev/null").stdout
        assert status == {nginx: b"413", caddy: b"200"}[port]
        assert curl(edge, tunnel.host, "/page.html", "/page.html").returncode == 0


def free_port():
    return free_ports(1)[0]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def test_a_client_that_waits_to_be_told_to_go_on(edge, ana, tunnels, services):
    """Expect: 100-continue, as curl sends it: the service's own word passes, and so does its refusal."""
    def answer(service, connection):
        head, rest = service.head(connection)
        if "/no" in head:
            return connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        assert "Expect: 100-continue" in head and not rest
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        while len(body) < 2_000_000:
            body += connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n%d" % len(body))

    tunnel = tunnels(ana, "http", str(services(answer).port)).online()
    sent = curl(edge, tunnel.host, "/", "--data-binary", "@-", "--header", "Expect: 100-continue",
                "--expect100-timeout", str(PATIENCE), data=b"x" * 2_000_000)
    assert sent.stdout == b"2000000", sent
    refused = curl(edge, tunnel.host, "/no", "--data-binary", "@-", "--header", "Expect: 100-continue", "--expect100-timeout",
                   str(PATIENCE), data=b"x" * 2_000_000)
    assert refused.stdout == b"no", refused


def test_what_happens_to_a_tunnel_is_in_the_audit_log(edge, ana, tunnels, services):
    tunnel = tunnels(ana, "http", str(services().port), "--name", "demo").online()
    for verb in ("pause", "resume", "stop", "remove"):
        assert run(ana, "tunnel", verb, "demo").returncode == 0
    tunnel.process.wait(PATIENCE)
    events = ana.call("GET", f"/organisations/{ana.id}/audit")[1]
    found = [one["action"] for one in (events["events"] if isinstance(events, dict) else events) if one["action"].startswith("tunnel.")]
    assert found[::-1] == [f"tunnel.{what}" for what in ("created", "connected", "paused", "resumed", "stopped", "released")], found


# TCP and TLS


def test_a_port_carries_bytes_both_ways_with_each_end_by_itself(edge, ana, tunnels):
    blob = os.urandom(8 << 20)

    def echo(listener):
        connection, _ = listener.accept()
        with connection:
            data = b""
            while part := connection.recv(1 << 20):
                data += part
            # Only when the other side has ended.
            connection.sendall(hashlib.sha256(data).digest() + data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=echo, args=(listener,), daemon=True)
        thread.start()
        tunnel = tunnels(ana, "tcp", str(listener.getsockname()[1])).online()
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=PATIENCE) as visitor:
            threading.Thread(target=lambda: (visitor.sendall(blob), visitor.shutdown(socket.SHUT_WR)), daemon=True).start()
            data = b""
            while part := visitor.recv(1 << 20):
                data += part
        thread.join(PATIENCE)
    assert data == hashlib.sha256(blob).digest() + blob
    # Where nothing listens the visitor is reset, not left waiting.
    with pytest.raises(OSError):
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=PATIENCE) as visitor:
            assert visitor.recv(1) == b"never"
            raise OSError


def test_the_visitors_address_in_front(edge, ana, tunnels):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tunnel = tunnels(ana, "tcp", str(listener.getsockname()[1]), "--proxy-protocol").online()
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=PATIENCE) as visitor:
            visitor.sendall(b"hello")
            service, _ = listener.accept()
            with service:
                data = b""
                while len(data) < 28 + 5:
                    data += service.recv(100)
            source = visitor.getsockname()
    assert data[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
    assert socket.inet_ntoa(data[16:20]) == "127.0.0.1" and struct.unpack(">HH", data[24:28]) == (source[1], tunnel.port)
    assert data[28:] == b"hello"


def test_ssh_rsync_and_psql_through_a_port(edge, ana, tunnels, tmp_path, children):
    key, host_key = tmp_path / "key", tmp_path / "host"
    for path in (key, host_key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "key.pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    children.append(subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-f", "/dev/null", "-p", str(port), "-h", str(host_key), "-o", "ListenAddress=127.0.0.1",
         "-o", f"AuthorizedKeysFile={tmp_path}/authorized", "-o", "StrictModes=no", "-o", "PidFile=none", "-o", "PermitRootLogin=yes"],
        stderr=subprocess.DEVNULL))
    wait_for(lambda: listens(port), "sshd")
    tunnel = tunnels(ana, "tcp", str(port)).online()
    ssh = ["ssh", "-p", str(tunnel.port), "-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
           "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    said = subprocess.run([*ssh, "127.0.0.1", "echo through the tunnel"], capture_output=True, timeout=PATIENCE)
    assert said.stdout == b"through the tunnel\n", said
    source = tmp_path / "source"
    source.mkdir()
    for number in range(20):
        (source / f"{number}").write_bytes(os.urandom(number * 10_000))
    subprocess.run(["rsync", "-a", "-e", " ".join(ssh), f"{source}/", f"127.0.0.1:{tmp_path}/copy/"], check=True, timeout=PATIENCE)
    assert subprocess.run(["diff", "-r", source, tmp_path / "copy"]).returncode == 0

    binaries = sorted(Path("/usr/lib/postgresql").iterdir())[-1] / "bin"
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    os.chmod(tmp_path, 0o755)
    for parent in tmp_path.parents:
        if parent == Path("/tmp"):
            break
        os.chmod(parent, 0o755)
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if as_postgres:
        shutil.chown(cluster, "postgres", "postgres")
    subprocess.run([*as_postgres, binaries / "initdb", "-D", cluster, "-A", "trust", "-U", "postgres"], check=True, capture_output=True)
    port = free_port()
    children.append(subprocess.Popen(
        [*as_postgres, binaries / "postgres", "-D", cluster, "-p", str(port), "-c", f"unix_socket_directories={cluster}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    wait_for(lambda: listens(port), "PostgreSQL")
    tunnel = tunnels(ana, "tcp", str(port)).online()
    psql = ["psql", "-h", "127.0.0.1", "-p", str(tunnel.port), "-U", "postgres", "-Atc"]
    found = wait_for(lambda: (answer := subprocess.run(
        [*psql, "SELECT count(*), max(length(repeat('x', n))) FROM generate_series(1, 10000) n"], capture_output=True,
        timeout=PATIENCE)).returncode == 0 and answer.stdout, "psql's answer")
    assert found == b"10000|10000\n"


def test_tls_passes_through_to_a_key_that_the_server_does_not_have(edge, ana, tunnels, tmp_path, children):
    import grpc
    from concurrent.futures import ThreadPoolExecutor

    directory = tmp_path / "vault"
    directory.mkdir()
    authority = make_pair(directory, f"vault.{DOMAIN}")
    pem = (directory / "cert.pem").read_bytes()

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.stream_stream_rpc_method_handler(lambda requests, context: (b"<" + one + b">" for one in requests))

    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([((directory / "key.pem").read_bytes(), pem)]))
    server.start()
    try:
        tunnel = tunnels(ana, "tls", str(port), "--name", "vault").online()
        assert tunnel.url == f"tls://vault.{DOMAIN}:{edge.port}"
        # The certificate that a visitor sees is the machine's.
        context = ssl.create_default_context(cafile=authority)
        with context.wrap_socket(
                socket.create_connection(("127.0.0.1", edge.port)), server_hostname=f"vault.{DOMAIN}") as visitor:
            assert ssl.DER_cert_to_PEM_cert(visitor.getpeercert(True)).encode() in pem
        channel = grpc.secure_channel(
            f"127.0.0.1:{edge.port}", grpc.ssl_channel_credentials(Path(authority).read_bytes()),
            options=[("grpc.ssl_target_name_override", f"vault.{DOMAIN}")])
        call = channel.stream_stream("/echo/Echo")
        assert list(call(iter([b"one", b"two" * 100_000]), timeout=PATIENCE)) == [b"<one>", b"<" + b"two" * 100_000 + b">"]
        channel.close()
    finally:
        server.stop(None)


# Names, owners, administrators


def test_names_stay_and_a_second_command_is_told_what_takes_them(edge, ana, tunnels, services):
    service = services()
    tunnel = tunnels(ana, "http", str(service.port), "--name", "demo").online()
    second = tunnels(ana, "http", str(service.port), "--name", "demo")
    assert second.process.wait(PATIENCE) == 1
    message = second.errors()
    assert "demo is served from" in message and "postern tunnel stop demo" in message
    assert run(ana, "tunnel", "list").stdout.splitlines()[1].split()[:2] == [f"https://demo.{DOMAIN}:{edge.port}", "online"]
    shown = json.loads(run(ana, "tunnel", "show", "demo", "--json").stdout)
    assert shown["state"] == "online" and shown["kept"] and shown["trusted"] and shown["owner"] == "ana"
    # Stopped by its owner: the command says so and ends, and the name stays.
    assert run(ana, "tunnel", "stop", "demo").returncode == 0
    assert tunnel.process.wait(PATIENCE) == 1 and "ana has stopped it" in tunnel.errors()
    assert json.loads(run(ana, "tunnel", "show", "demo", "--json").stdout)["state"] == "offline"
    again = tunnels(ana, "http", str(service.port), "--name", "demo").online()
    assert get(edge, again.host)[0] == 200
    assert run(ana, "tunnel", "remove", "demo").returncode == 0
    assert again.process.wait(PATIENCE) == 1
    assert json.loads(get(edge, again.host)[2])["code"] == "POSTERN-NO-TUNNEL"
    assert run(ana, "tunnel", "show", "demo").returncode == 1


def run(user, *arguments):
    return subprocess.run([POSTERN, *arguments], env=user.environment, capture_output=True, text=True, timeout=PATIENCE)


def test_pausing_cuts_visitors_off_and_an_administrators_word_is_the_last(edge, ana, tunnels, services):
    admin = edge.user("root", "--admin")
    gone = threading.Event()

    def endless(service, connection):
        service.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nbegin")
        try:
            connection.recv(1)
        finally:
            gone.set()

    tunnel = tunnels(ana, "http", str(services(endless).port), "--name", "demo").online()
    with connect(edge, tunnel.host) as visitor:
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {tunnel.host}\r\n\r\n".encode())
        data = b""
        while b"begin" not in data:
            data += visitor.recv(65536)
        assert run(ana, "tunnel", "pause", "demo").returncode == 0
        with pytest.raises((OSError, ssl.SSLError)):
            # A clean end would come out of the loop without an error.
            while visitor.recv(65536):
                pass
    assert gone.wait(PATIENCE)
    assert json.loads(get(edge, tunnel.host)[2])["code"] == "POSTERN-PAUSED"
    assert run(ana, "tunnel", "resume", "demo").returncode == 0
    id = json.loads(run(ana, "tunnel", "show", "demo", "--json").stdout)["id"]
    assert ana.call("POST", f"/admin/tunnels/{id}/pause")[0] == 403
    assert admin.call("POST", f"/admin/tunnels/{id}/pause")[0] == 204
    assert json.loads(get(edge, tunnel.host)[2])["code"] == "POSTERN-PAUSED"
    refused = run(ana, "tunnel", "resume", "demo")
    assert refused.returncode == 1 and "administrator" in refused.stderr
    assert [one["name"] for one in admin.call("GET", "/admin/tunnels")[1]] == ["demo"]
    assert admin.call("POST", f"/admin/tunnels/{id}/stop")[0] == 204
    assert tunnel.process.wait(PATIENCE) == 1 and "administrator" in tunnel.errors()
    # Nor does the command come back.
    back = tunnels(ana, "http", "1", "--name", "demo")
    assert back.process.wait(PATIENCE) == 1 and "administrator" in back.errors()


def test_a_token_that_is_revoked_ends_its_links(edge, ana, tunnels, services):
    tunnel = tunnels(ana, "http", str(services().port)).online()
    listed = subprocess.run([POSTERN, "token", "list", "ana", "--json", "--state", edge.state], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        subprocess.run([POSTERN, "token", "revoke", json.loads(line)["id"], "--state", edge.state], check=True, capture_output=True)
    assert tunnel.process.wait(PATIENCE) == 1
    assert "revoked" in tunnel.errors()


def test_the_plan_limits_tunnels_and_visitors(edge, ana, tunnels, services):
    subprocess.run([POSTERN, "organisation", "set-plan", "ana", "free", "--state", edge.state], check=True, capture_output=True)
    status, refusal = 0, None
    for number in range(4):
        status, refusal = ana.call("POST", "/tunnels", {"kind": "http", "name": f"demo{number}"})
    assert status == 403 and refusal["code"] == "tunnel_limit_reached"
    assert refusal["limit"] == 3 and refusal["current"] == 3 and refusal["plan"] == "free" and refusal["upgradeUrl"]
    lists = tunnels(ana, "http", str(services().port), "--name", "demo1", "--allow", "127.0.0.1")
    assert lists.process.wait(PATIENCE) == 1 and "not part of the free plan" in lists.errors()
    tunnel = tunnels(ana, "http", str(services().port), "--name", "demo1").online()
    visitors = [Visitor(edge, tunnel.host) for _ in range(51)]
    for visitor in visitors[:50]:
        assert get(edge, tunnel.host, connection=visitor)[0] == 200
    status, headers, body = get(edge, tunnel.host, connection=visitors[50])
    refusal = json.loads(body)
    assert status == 429 and refusal["code"] == "POSTERN-CONNECTIONS" and refusal["limit"] == 50 and refusal["plan"] == "free"
    assert headers["Retry-After"]
    visitors[0].close()
    wait_for(lambda: get(edge, tunnel.host)[0] == 200, "room for one more")


def test_what_was_used_is_in_the_ledger_whatever_ends_the_server(edge, ana, tunnels, services):
    """Requests, bytes and connections are exact, across kill -9 and across a clean stop."""
    service = services()
    tunnel = tunnels(ana, "http", str(service.port), "--name", "demo").online()

    def usage():
        status, sums = ana.call("GET", f"/organisations/{ana.id}/usage")
        assert status == 200
        return {unit: sum(one["amount"] for one in sums if one["unit"] == unit)
                for unit in ("tunnel_requests", "tunnel_bytes", "tunnel_connections")}

    sent = received = 0
    def ask(count):
        nonlocal sent, received
        visitor = Visitor(edge, tunnel.host)
        for _ in range(count):
            visitor.request("GET", "/", headers={"Host": tunnel.host})
            answer = visitor.getresponse()
            body = answer.read()
            sent += len(f"GET / HTTP/1.1\r\nHost: {tunnel.host}\r\nAccept-Encoding: identity\r\n\r\n")
            received += len(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nContent-Type: text/plain\r\n\r\n") + len(body)
        visitor.close()

    ask(7)
    edge.restart(signal.SIGKILL)
    tunnel.wait("online", 2)
    assert usage() == {"tunnel_requests": 7, "tunnel_bytes": sent + received, "tunnel_connections": 1}
    ask(5)
    edge.restart()
    tunnel.wait("online", 3)
    assert usage() == {"tunnel_requests": 12, "tunnel_bytes": sent + received, "tunnel_connections": 2}


def test_a_command_comes_back_when_the_server_does_and_when_its_link_dies(edge, ana, tunnels, services):
    service = services()
    tunnel = tunnels(ana, "http", str(service.port)).online()
    edge.restart(signal.SIGKILL)
    tunnel.wait("offline")
    tunnel.wait("online", 2)
    assert get(edge, tunnel.host)[0] == 200
    edge.restart()
    tunnel.wait("online", 3)
    assert get(edge, tunnel.host)[0] == 200


def test_pages_show_tunnels_and_do_what_they_say(edge, tunnels, services):
    ana, root = Person(edge, "ana"), Person(edge, "root", "--admin")
    page, administration = Browser(edge), Browser(edge)
    page.sign_in(ana)
    administration.sign_in(root)
    assert "postern http 3000" in page.get("/organisation/tunnels").text
    tunnel = tunnels(ana.api, "http", str(services().port), "--name", "demo").online()
    listed = page.get("/organisation/tunnels").text
    assert tunnel.url in listed and "online" in listed and "Pause" in listed
    id = ana.call("GET", "/tunnels")[1][0]["id"]
    def change(browser, path, verb):
        assert browser.post(f"{path}/change", path, id=id, verb=verb).location == path
    change(page, "/organisation/tunnels", "pause")
    assert json.loads(get(edge, tunnel.host)[2])["code"] == "POSTERN-PAUSED"
    change(page, "/organisation/tunnels", "resume")
    assert get(edge, tunnel.host)[0] == 200
    assert tunnel.url in administration.get("/administration/tunnels").text
    assert page.get("/administration/tunnels").status == 403
    change(administration, "/administration/tunnels", "stop")
    assert tunnel.process.wait(PATIENCE) == 1
    change(page, "/organisation/tunnels", "remove")
    assert "postern http 3000" in page.get("/organisation/tunnels").text
