"""Visitors that mean no good, and a real browser."""

import json
import os
import re
import socket
import ssl
import threading

import pytest

from browser import CHROMIUM, Browser
from conftest import PATIENCE, make_pair, wait_for
from people import Browser as HTTPBrowser, Person
from tunnels import DOMAIN, PORTS, Service, connect, edge, get, raw, services, tunnels  # noqa: F401


@pytest.fixture
def ana(edge):
    return edge.user("ana")


def keeper(service, connection):
    """Reads exactly what arrives, and answers whatever looks like a request."""
    data = b""
    while True:
        part = connection.recv(65536)
        if not part:
            break
        data += part
        service.requests.append(part.decode("latin-1"))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


# Each holds a second request, /smuggled, that only some reader would see; or is refused as a whole.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
VARIANTS = {
    "CL.TE": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%x\r\n" % len(SMUGGLED) + SMUGGLED + b"\r\n0\r\n\r\n",
    "TE.TE": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a blank before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded line": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "x-chunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked with more": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a list of lengths": b"Content-Length: 0, %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a plus": b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "a bare LF": b"Content-Length: 0\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a bare CR": b"X: y\rContent-Length: 40\r\n\r\n" + SMUGGLED,
    "a zero byte": b"X: y\x00\r\n\r\n" + SMUGGLED,
    "a chunk too long": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk size with a blank": b"Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n" + SMUGGLED,
    "a chunk size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + SMUGGLED,
    "a chunk line that ends with LF": b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + SMUGGLED,
    "two hosts": b"Host: other\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_can_be_read_in_two_ways_never_reaches_the_service(edge, ana, tunnels, services, variant):
    service = services(keeper)
    tunnel = tunnels(ana, "http", str(service.port)).online()
    data, _ = raw(edge, tunnel.host, f"POST /first HTTP/1.1\r\nHost: {tunnel.host}\r\n".encode() + VARIANTS[variant])
    assert re.match(rb"HTTP/1\.1 (400|501) ", data), data
    assert b"POSTERN-BAD-REQUEST" in data or b"POSTERN-CODING" in data
    assert not any("smuggled" in one for one in service.requests), service.requests
    # The next visitor gets an answer of its own.
    assert get(edge, tunnel.host, "/next")[2] == b"ok"
    assert not any("smuggled" in one for one in service.requests)


def test_answers_that_can_be_read_in_two_ways_reach_no_visitor(edge, ana, tunnels, services):
    answers = iter([
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        # What is left over is not the next visitor's.
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
    ])

    def answer(service, connection):
        head, _ = service.head(connection)
        if head:
            connection.sendall(next(answers))
            connection.recv(1)

    tunnel = tunnels(ana, "http", str(services(answer).port)).online()
    for _ in range(5):
        status, _, body = get(edge, tunnel.host)
        assert status == 502 and json.loads(body)["code"] == "POSTERN-BAD-ANSWER"
    assert get(edge, tunnel.host)[2] == b"ok"
    assert get(edge, tunnel.host)[2] == b"good"


def test_a_connection_that_knows_its_visitor_serves_no_other(edge, ana, tunnels, services):
    """NTLM signs a connection in, not a request."""
    def answer(service, connection):
        who = None
        while True:
            head, _ = service.head(connection)
            if head is None:
                return
            named = re.search(r"X-Login: (\w+)", head)
            who = named.group(1) if named else who
            body = (who or "nobody").encode()
            # The last answer of a sign-in says nothing of it any more.
            asks = b"" if who else b"WWW-Authenticate: NTLM\r\n"
            connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (asks, len(body)) + body)

    from tunnels import Visitor
    tunnel = tunnels(ana, "http", str(services(answer).port)).online()
    first, second = Visitor(edge, tunnel.host), Visitor(edge, tunnel.host)
    assert get(edge, tunnel.host, connection=first)[2] == b"nobody"
    assert get(edge, tunnel.host, headers={"X-Login": "ana"}, connection=first)[2] == b"ana"
    assert get(edge, tunnel.host, connection=first)[2] == b"ana"
    assert get(edge, tunnel.host, connection=second)[2] == b"nobody"


def test_slow_and_silent_visitors_are_cut_off_and_others_go_on(edge, ana, tunnels, services):
    tunnel = tunnels(ana, "http", str(services().port)).online()
    half = [connect(edge, tunnel.host) for _ in range(20)]
    for visitor in half:
        visitor.sendall(b"GET / HTTP/1.1\r\nHo")
    silent = connect(edge, tunnel.host)
    dripping = connect(edge, tunnel.host)
    stop = threading.Event()

    def drip():
        try:
            while not stop.wait(0.5):
                dripping.sendall(b"G")
        except OSError:
            pass

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    assert get(edge, tunnel.host)[0] == 200
    for visitor in half:
        data = visitor.recv(65536)
        assert data.startswith(b"HTTP/1.1 408") and b"POSTERN-SLOW" in data, data
    ends = []
    for visitor in (silent, dripping):
        try:
            ends.append(visitor.recv(65536))
        except (OSError, ssl.SSLError):
            ends.append(b"")
    assert ends[0] == b"" and (ends[1] == b"" or ends[1].startswith(b"HTTP/1.1 4"))
    stop.set()
    thread.join(PATIENCE)
    assert get(edge, tunnel.host)[0] == 200
    metrics = edge.page("/metrics")
    assert re.search(r'postern_tunnel_refusals_total\{reason="slow"\} 2[0-9]', metrics), metrics


def test_many_visitors_at_once(edge, ana, tunnels, services):
    """Each idle visitor costs a connection and no more; 10,000 of them in the long run."""
    count = 10_000 if os.environ.get("POSTERN_SOAK") else 300
    tunnel = tunnels(ana, "http", str(services().port)).online()
    visitors = []
    for _ in range(count):
        visitor = connect(edge, tunnel.host)
        # One that has asked for something is kept for a minute; one that has not, for 15 seconds.
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {tunnel.host}\r\n\r\n".encode())
        assert visitor.recv(65536).startswith(b"HTTP/1.1 200")
        visitors.append(visitor)
    for visitor in visitors[-500::50]:
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {tunnel.host}\r\n\r\n".encode())
        assert visitor.recv(65536).startswith(b"HTTP/1.1 200")
    assert get(edge, tunnel.host)[0] == 200
    open = int(re.search(r"postern_tunnel_connections (\d+)", edge.page("/metrics")).group(1))
    print(f"\n{open} visitors at once; the server takes {edge.rss():.0f} MiB")
    assert open >= count
    for visitor in visitors:
        visitor.close()
    wait_for(lambda: re.search(r"postern_tunnel_connections 0\n", edge.page("/metrics")), "the connections to be counted out")


def test_a_visitor_that_leaves_in_the_middle_costs_the_next_one_nothing(edge, ana, tunnels, services):
    """What it did not take is given back to the connection that the next visitor gets, and services that hang up leave nothing behind."""
    blob = b"x" * (4 << 20)

    def answer(service, connection):
        while True:
            head, _ = service.head(connection)
            if head is None:
                return
            if "/hang-up" in head:
                return
            body = blob if "/large" in head else b"ok"
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    service = services(answer)
    tunnel = tunnels(ana, "http", str(service.port)).online()
    for _ in range(30):
        visitor = connect(edge, tunnel.host)
        visitor.sendall(f"GET /large HTTP/1.1\r\nHost: {tunnel.host}\r\n\r\n".encode())
        assert visitor.recv(1000)
        visitor.close()
        assert get(edge, tunnel.host)[2] == b"ok"
    for _ in range(100):
        assert get(edge, tunnel.host, "/hang-up")[0] == 502
    assert len(get(edge, tunnel.host, "/large")[2]) == len(blob)
    # One that reads slowly gets all of it.
    with connect(edge, tunnel.host) as visitor:
        visitor.sendall(f"GET /large HTTP/1.1\r\nHost: {tunnel.host}\r\nConnection: close\r\n\r\n".encode())
        assert visitor.recv(1000)
        for _ in range(5):
            assert get(edge, tunnel.host)[2] == b"ok"
        data = b""
        while part := visitor.recv(1 << 20):
            data += part
    assert data.count(b"x") >= len(blob) - 1000
    count = lambda: int(re.search(r"postern_tunnel_connections (\d+)", edge.page("/metrics")).group(1))
    wait_for(lambda: count() == 0, count)


# A real browser


@pytest.fixture
def chromium(tmp_path):
    if not CHROMIUM:
        pytest.skip("no chromium here")
    browser = Browser(tmp_path / "profile", f"--host-resolver-rules=MAP *.{DOMAIN} 127.0.0.1")
    yield browser
    browser.close()


@pytest.fixture
def open_edge(make_server, tmp_path):
    """A server where anybody may register; names below its domains lead to this machine by a resolver rule of the browser."""
    make_pair(tmp_path, f"*.{DOMAIN}")
    return make_server("--tunnel-domain", DOMAIN, "--tunnel-certificate", str(tmp_path / "cert.pem"), "--tunnel-key",
                       str(tmp_path / "key.pem"), "--registration", "open", tls=True)


def test_a_page_of_somebody_unknown_is_behind_a_warning_once(open_edge, tunnels, services, tmp_path):
    """As HTTP, which is what a browser goes by: the page, the button, the cookie for this host alone, and nothing for programs."""
    from urllib.parse import quote
    from tunnels import Visitor
    open_edge.authority = str(tmp_path / "ca.pem")
    open_edge.port = int(open_edge.url.rsplit(":", 1)[1])
    ana = open_edge.user("ana")
    service = services()
    tunnel = tunnels(ana, "http", str(service.port)).online()
    page = {"Accept": "text/html,application/xhtml+xml"}
    status, headers, body = get(open_edge, tunnel.host, "/a?b=c", headers=page)
    assert status == 200 and b"nobody has vouched for" in body and not service.requests
    assert f'action="/.well-known/postern-continue?to={quote("/a?b=c", safe="-._~")}"'.encode() in body
    # Another page cannot press the button, nor send its form past the warning.
    for site in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        status, headers, body = get(open_edge, tunnel.host, "/.well-known/postern-continue?to=/login", "POST", b"", {**page, **site})
        assert status == 200 and "Set-Cookie" not in headers and b"vouched" in body
    assert b"vouched" in get(open_edge, tunnel.host, "/login", "POST", b"a=b", page)[2] and not service.requests
    own = {"Sec-Fetch-Site": "same-origin"}
    status, headers, _ = get(open_edge, tunnel.host, f"/.well-known/postern-continue?to={quote('/a?b=c', safe='')}", "POST", b"", own)
    assert status == 303 and headers["Location"] == "/a?b=c"
    cookie = headers["Set-Cookie"]
    assert cookie.startswith("__Host-postern-seen=1; Secure; HttpOnly; SameSite=Lax; Path=/") and "Domain" not in cookie
    for target in ("//evil.example/", "https://evil.example/", "/\\evil.example", "%0d%0aX:y"):
        status, headers, _ = get(open_edge, tunnel.host, f"/.well-known/postern-continue?to={quote(target, safe='%')}", "POST", b"", own)
        assert headers["Location"] == "/", target
    status, _, body = get(open_edge, tunnel.host, "/a", headers={**page, "Cookie": "__Host-postern-seen=1"})
    assert status == 200 and b"GET /a HTTP/1.1" in body and b"postern-seen" not in body
    assert b"GET /api" in get(open_edge, tunnel.host, "/api", headers={"Accept": "application/json"})[2]
    # Whom the server's owner knows is not warned of.
    root = open_edge.user("root", "--admin")
    assert b"GET /" in get(open_edge, tunnels(root, "http", str(service.port)).online().host, headers=page)[2]


def test_a_browser_opens_a_tunnel_and_a_tunnels_page_cannot_act_on_the_server(edge, ana, tunnels, services, chromium):
    """Chromium, by name: scripts and a WebSocket of the page work, and its form posted to the server's own pages does not."""
    hosts = {}

    def answer(service, connection):
        head, _ = service.head(connection)
        if head is None:
            return
        if "/socket" in head:
            import base64, hashlib
            key = re.search(r"Sec-WebSocket-Key: (.+)", head).group(1).strip()
            accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                               + accept + b"\r\n\r\n\x81\x10from the service")
            connection.recv(1)
            return
        body = f"""<!DOCTYPE html><title>tunnel</title><p id=p>before</p>
            <form id=f method=post action="{edge.url.replace('127.0.0.1', 'localhost')}/sign-out"></form>
            <script>document.cookie = "tossed=1; domain={DOMAIN}"; document.getElementById('p').textContent = 'page of ' + location.host</script>""".encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: wide=1; Domain=%s\r\nSet-Cookie: own=1\r\nContent-Length: %d\r\n\r\n"
            % (DOMAIN.encode(), len(body)) + body)

    tunnel = tunnels(ana, "http", str(services(answer).port), "--name", "demo").online()
    page = chromium.open(tunnel.url)
    text = lambda: page.value("document.getElementById('p')?.textContent")
    wait_for(lambda: text() == f"page of demo.{DOMAIN}:{edge.port}", text)
    cookies = {one["name"]: one["domain"] for one in page.send("Network.getAllCookies")["cookies"]}
    assert cookies.get("own") == f"demo.{DOMAIN}" and "wide" not in cookies
    assert page.value(f"""new Promise(done => {{
        const socket = new WebSocket('wss://' + location.host + '/socket');
        socket.onmessage = event => done(event.data); socket.onerror = () => done('error'); }})""") == "from the service"
    # The server's own pages take no form from it, whatever cookies the browser would send along.
    person = Person(edge, "ben")
    own = HTTPBrowser(edge)
    own.sign_in(person)
    token = own.token("/account")
    for site in ("same-site", "cross-site"):
        answer = own.request("POST", "/sign-out", {"form": token}, {"Origin": tunnel.url, "Sec-Fetch-Site": site})
        assert answer.status == 403, answer.text
    assert own.get("/account").status == 200
