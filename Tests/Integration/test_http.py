"""What HTTP asks of every route: methods, HEAD, Expect, CORS, targets and hosts."""

import json
from pathlib import Path
import os
import re
import socket
import subprocess

import pytest

from conftest import PATIENCE, make_pair
from people import Browser
from test_attacks import connect, everything, metric


def send(server, text, wait=True):
    one = connect(server, server.tls)
    one.settimeout(PATIENCE)
    one.sendall(text if isinstance(text, bytes) else text.encode())
    return everything(one) if wait else one


def request(server, method, path, **headers):
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    answer = send(server, f"{method} {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n{lines}\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), {name.lower(): value.strip() for name, value in (f.split(":", 1) for f in fields)}, body


def described(server):
    """Every route and page, as docs/permissions.md has them, which is made from the router."""
    text = (Path(__file__).parents[2] / "docs/permissions.md").read_text()
    paths = {}
    for method, path in re.findall(r"^\| (GET|POST|PUT|PATCH|DELETE) \| `([^`]+)` \|", text, re.M):
        paths.setdefault(re.sub(r":([a-zA-Z]+)", r"{\1}", path), set()).add(method)
    return list(paths.items())


def test_head_is_answered_as_get_without_the_body_on_every_route(server):
    checked = 0
    for path, methods in described(server):
        if "GET" not in methods:
            continue
        concrete = path.replace("{", "").replace("}", "")
        get, head = request(server, "GET", concrete), request(server, "HEAD", concrete)
        assert head[0] == get[0] and head[2] == b"", (path, head, get[0])
        if "content-length" in get[1] and "uptime" not in get[2].decode(errors="replace"):
            assert head[1].get("content-length") == get[1]["content-length"], path
        checked += 1
    assert checked > 30


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_of_a_known_path_are_405_with_allow(server, method):
    for path, methods in described(server):
        if method in methods:
            continue
        status, headers, body = request(server, method, path.replace("{", "").replace("}", ""), Content_Length="0")
        assert status == 405, (method, path, status, body)
        allowed = set(headers["allow"].split(", "))
        assert methods <= allowed and "OPTIONS" in allowed and method not in allowed
        assert json.loads(body)["code"] == "method_not_allowed"
    assert request(server, method, "/nowhere", Content_Length="0")[0] == 404


def test_a_page_of_another_site_may_use_the_api_with_a_token_and_never_a_cookie(server, ana):
    status, headers, _ = request(
        server, "OPTIONS", "/sessions", Origin="https://elsewhere.test", Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,content-type")
    assert status == 204 and headers["access-control-allow-origin"] == "*"
    assert "POST" in headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(headers["access-control-allow-headers"].split(", "))
    for path, wanted in [("/auth/me", 200), ("/nowhere", 404), ("/sessions", 200)]:
        status, headers, _ = request(
            server, "GET", path, Origin="https://elsewhere.test", Authorization=f"Bearer {ana.token}")
        assert status == wanted and headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers
    # A refusal is readable, too; otherwise a program in a page could not tell one from a broken network.
    assert request(server, "GET", "/auth/me", Origin="https://elsewhere.test")[1]["access-control-allow-origin"] == "*"
    # Pages know their reader by a cookie.
    for page in ["/", "/sign-in", "/account"]:
        assert "access-control-allow-origin" not in request(server, "GET", page, Origin="https://elsewhere.test")[1]


def test_who_expects_100_gets_it_or_a_final_answer_at_once(server, ana):
    body = b'{"hostPublicKey":"k"}'
    head = f"POST /sessions HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer {ana.token}\r\nExpect: 100-continue\r\n"
    one = send(server, head + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n", wait=False)
    assert one.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    one.sendall(body)
    assert everything(one).startswith(b"HTTP/1.1 201")
    # Far too long: refused before a byte of it is sent.
    large = metric(server, "postern_large_bodies_total")
    answer = send(server, head + "Content-Length: 99999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413") and b"100 Continue" not in answer and b"too_large" in answer
    assert metric(server, "postern_large_bodies_total") == large + 1
    answer = send(server, f"POST /sessions HTTP/1.1\r\nHost: box\r\nContent-Length: {10**30}\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    # curl asks by itself where a body is longer than a megabyte, and says what it was told.
    found = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", "-H", f"Authorization: Bearer {ana.token}",
         "-H", "Expect: 100-continue", "--data-binary", "@-", server.url + "/sessions"],
        input=body, capture_output=True).stdout.decode().split()
    assert found[0] == "201" and float(found[1]) < 0.9  # curl gives up waiting after 1 s


@pytest.mark.parametrize("head", [
    "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", "GET /health HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost:\r\n\r\n", "GET /health HTTP/1.1\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET ftp://evil.test/health HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET health HTTP/1.1\r\nHost: a\r\n\r\n", "GET /health HTTP/1.1\r\nHost: me@a\r\n\r\n",
])
def test_a_host_or_a_target_that_could_mean_two_things_is_refused(server, head):
    assert send(server, head).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("host", ["box", "box:8443", "127.0.0.1:1", "[::1]:1", "a_b.test", "xn--bx-yka.test"])
def test_hosts_of_every_usual_form_are_taken(server, host):
    assert send(server, f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_chunk_extensions_out_of_proportion_end_the_connection(server, ana):
    one = connect(server)
    one.settimeout(PATIENCE)
    one.sendall(f"POST /sessions HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer {ana.token}\r\n"
                "Transfer-Encoding: chunked\r\n\r\n1;".encode())
    try:
        for _ in range(64):
            one.sendall(b"x" * 16384)
    except OSError:
        pass
    assert not everything(one).startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("change", [
    ("GET", "POST"), ("GET", "PUT"), ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: eA=="),
    ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "X-Nothing: 1"),
])
def test_a_websocket_handshake_is_a_get_with_a_key_of_16_bytes(server, change):
    good = ("GET /relay HTTP/1.1\r\nHost: box\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    one = send(server, good, wait=False)
    assert one.recv(65536).startswith(b"HTTP/1.1 101")
    one.close()
    refused = send(server, good.replace(*change), wait=False)
    refused.settimeout(PATIENCE)
    assert not refused.recv(65536).startswith(b"HTTP/1.1 101")
    refused.close()


def listening(pid):
    """The TCP ports on which a process listens."""
    own = set()
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            own.add(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except OSError:
            pass
    rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in own]


def test_a_redirect_leads_to_a_name_of_this_server(make_server, tmp_path):
    make_pair(tmp_path, "box.test", "other.test")
    server = make_server(
        "--http", "127.0.0.1:0", "--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key",
        str(tmp_path / "key.pem"), "--tls-names", "box.test,other.test", tls=True)
    port = next(port for port in listening(server.process.pid) if not server.address.endswith(f":{port}"))
    for host, target in [("evil.test", "box.test"), ("other.test", "other.test"), ("BOX.test", "BOX.test")]:
        one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        one.sendall(f"GET /a?b HTTP/1.1\r\nHost: {host}:80\r\n\r\n".encode())
        assert f"https://{target}".encode() in everything(one).split(b"\r\n\r\n")[0]


def test_a_strangers_code_and_none_are_told_apart_by_nobody(server, ana, ben):
    session = ana.call("POST", "/sessions", {"hostPublicKey": "k"})[1]
    code = ana.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read"})[1]["code"]
    for asked in [code, "SYCLX-AAAAAA", "nonsense"]:
        status, body = ben.call("DELETE", f"/codes/{asked}")
        assert (status, body["message"]) == (404, "Code not found")
    assert ana.call("DELETE", f"/codes/{code}")[0] == 204
    assert ana.call("DELETE", f"/codes/{code}")[0] == 204


@pytest.mark.parametrize("origin,taken", [
    ("http://x://{host}", False), ("http://evil.test", False), ("null", False), ("http://{host}", True),
    ("https://{host}", True)])
def test_a_form_is_taken_from_this_site_alone(server, origin, taken):
    browser = Browser(server)
    token = re.search(r'name="form" value="([^"]+)"', browser.get("/sign-in").text).group(1)
    answer = browser.request(
        "POST", "/sign-in", {"form": token, "username": "nobody", "password": "wrong"},
        {"Origin": origin.format(host=server.address)})
    assert ("not from this page" not in answer.text) == taken, answer.text


def test_a_browser_gets_a_page_for_an_error_and_a_program_json(server):
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for method, path, status, words in [("GET", "/nosuch", 404, "No such page"), ("GET", "/account/password", 405, "Nothing to show")]:
        shown = request(server, method, path, **html)
        assert shown[0] == status and shown[1]["content-type"].startswith("text/html"), (path, shown)
        assert words in shown[2].decode() and "default-src 'none'" in shown[1]["content-security-policy"], shown
        told = request(server, method, path)
        assert told[0] == status and json.loads(told[2])["statusCode"] == status, told
    # The API is for programs, whatever they accept.
    assert json.loads(request(server, "GET", "/sessions", **html)[2])["code"] == "unauthorized"
