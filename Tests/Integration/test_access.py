"""Who may use a tunnel or a domain: policies by options, by the API and on pages, and the sign-in of members on private tunnels."""

import json
import re
import sqlite3
import subprocess
import threading
import time

import pytest
from joserfc import jwk, jwt

from acme import free_ports
from browser import CHROMIUM
from browser import Browser as Chromium
from conftest import PATIENCE, POSTERN, make_pair, wait_for
from people import PASSWORD, Browser, Person, team, token_for
from tunnels import DOMAIN, PORTS, Visitor, get, hello, services, tunnels  # noqa: F401

PAGE = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def edge(make_server, tmp_path):
    """A server whose own name browsers know."""
    authority = make_pair(tmp_path, f"*.{DOMAIN}")
    port, = free_ports(1)
    server = make_server(
        "--tunnel-domain", DOMAIN, "--tunnel-certificate", str(tmp_path / "cert.pem"), "--tunnel-key",
        str(tmp_path / "key.pem"), "--tunnel-ports", PORTS.take(), "--tunnel-port-address", "127.0.0.1",
        "--public-url", f"https://box.test:{port}", "--joins-per-minute", "100000", "--public-calls-per-minute", "100000",
        tls=True, at=f"127.0.0.1:{port}")
    server.authority, server.port = authority, port
    return server


@pytest.fixture
def ana(edge):
    return Person(edge, "ana")


def run(user, *arguments, **more):
    return subprocess.run([POSTERN, *arguments], env=user.environment, capture_output=True, text=True, **more)


def code(answer):
    """The code of the edge's own answer."""
    found = re.search(rb"POSTERN-([A-Z-]+)", answer[2])
    return found.group(1).decode() if found and answer[0] >= 400 else answer[0]


def sign_in(edge, person, host, path="/", own=None):
    """A member's way into a private tunnel in a browser of a few lines; returns the headers with its cookie."""
    status, headers, _ = get(edge, host, path, headers=PAGE)
    assert status == 303, (status, headers)
    pending = headers["Set-Cookie"].split(";")[0]
    if own is None:
        own = Browser(edge)
        own.sign_in(person)
    answer = own.get(headers["Location"].removeprefix(f"https://box.test:{edge.port}"))
    assert answer.status == 200, answer.text
    address = re.search(r"url=(.+)", answer.headers["refresh"]).group(1)
    assert address.startswith(f"https://{host}:{edge.port}/.well-known/postern-callback?")
    status, headers, _ = get(edge, host, address.split(str(edge.port), 1)[1], headers={**PAGE, "Cookie": pending})
    assert status == 303, (status, headers)
    cookies = headers.get_all("Set-Cookie")
    session = cookies[0]
    assert session.startswith("__Host-postern-member=") and "; Secure; HttpOnly; SameSite=Lax; Path=/" in session
    assert headers["Location"] == path
    return {"Cookie": session.split(";")[0]}


# Members


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
def test_a_private_tunnel_in_a_browser(edge, ana, tunnels, services, tmp_path):
    """From the tunnel's address over the sign-in page back to the page that was asked for, and a stranger is told what to do."""
    service = services()
    tunnel = tunnels(ana.api, "http", str(service.port), "--name", "demo", "--private").online()
    ben = Person(edge, "ben")
    chromium = Chromium(tmp_path / "profile", f"--host-resolver-rules=MAP *.{DOMAIN} 127.0.0.1, MAP box.test 127.0.0.1")
    try:
        for person, seen in ((ana, "GET /report?day=7 HTTP/1.1"), (ben, "only for members")):
            page = chromium.open(f"{tunnel.url}/report?day=7")
            text = lambda: page.value("document.body?.innerText") or ""
            wait_for(lambda: "Password" in text() and page.value("document.readyState") == "complete", text)
            page.value(f"document.getElementById('username').value = '{person.name}'; document.getElementById('password').value = '{PASSWORD}'")
            page.value("document.querySelector('form').requestSubmit()")
            wait_for(lambda: seen in text(), text)
            if person is ana:
                assert page.value("location.href") == f"{tunnel.url}/report?day=7"
                assert "X-Postern-User: ana" in text() and "postern-member" not in text()
                # A second visit asks for nothing.
                page.go(f"{tunnel.url}/again")
                wait_for(lambda: "GET /again" in text(), text)
                page.picture(tmp_path / "private.png")
            page.send("Network.clearBrowserCookies")
    finally:
        chromium.close()


def test_only_browsers_are_sent_to_the_sign_in(edge, ana, tunnels, services):
    """Scripts, forms and WebSockets get 401 and no redirect; nothing reaches the service."""
    service = services()
    tunnel = tunnels(ana.api, "http", str(service.port), "--private").online()
    websocket = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    for method, headers in (("GET", {}), ("POST", PAGE), ("GET", {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}),
                            ("GET", {**websocket, "Sec-Fetch-Mode": "websocket"}), ("DELETE", {}),
                            ("GET", {"Cookie": "__Host-postern-member=guess"}), ("GET", {"X-Postern-User": "ana"})):
        assert code(get(edge, tunnel.host, "/", method, headers=headers)) == "SIGN-IN", (method, headers)
    assert not service.requests
    signed = sign_in(edge, ana, tunnel.host)
    body = get(edge, tunnel.host, "/x", headers={
        "Cookie": f"a=1; {signed['Cookie']}; b=2", "X-Postern-User": "root", "X-Postern-Identity": "root", "X_Postern_User": "root",
        "x_forwarded-for": "root"})[2]
    token = re.search(rb"X-Postern-Identity: (\S+)", body).group(1).decode()
    status, keys = edge.call("GET", "/.well-known/jwks.json")
    assert status == 200
    claims = jwt.decode(token, jwk.KeySet.import_key_set(keys), algorithms=["EdDSA", "Ed25519"]).claims
    assert claims["name"] == "ana" and claims["sub"] == ana.id and claims["org"] == ana.id and claims["aud"] == tunnel.host
    assert claims["iss"] == f"https://box.test:{edge.port}" and 0 < claims["exp"] - time.time() <= 61
    assert b"X-Postern-User: ana\r\n" in body + b"\r\n" and b"root" not in body and b"Cookie: a=1; b=2" in body


def test_the_sign_in_cannot_be_forged_or_taken_along(edge, ana, tunnels, services):
    """Login CSRF, a stolen code, a code of another host, an open redirect, a sibling's cookie."""
    service = services()
    one = tunnels(ana.api, "http", str(service.port), "--private", "--name", "one").online()
    two = tunnels(ana.api, "http", str(service.port), "--private", "--name", "two").online()
    own = Browser(edge)
    own.sign_in(ana)

    def begin(host, path="/"):
        _, headers, _ = get(edge, host, path, headers=PAGE)
        return headers["Set-Cookie"].split(";")[0], re.search(r"state=(\w+)", headers["Location"]).group(1)

    def code_for(host, state):
        answer = own.get(f"/authorize?host={host}&state={state}")
        return re.search(r"code=(\w+)", answer.headers["refresh"]).group(1)

    def finish(host, cookie, query):
        return get(edge, host, f"/.well-known/postern-callback?{query}", headers={**PAGE, **({"Cookie": cookie} if cookie else {})})

    cookie, state = begin(one.host)
    victims, _ = begin(one.host)
    # Login CSRF: somebody else's code and state in this browser; and without any sign-in begun.
    assert code(finish(one.host, victims, f"code={code_for(one.host, state)}&state={state}")) == "SIGN-IN-FAILED"
    assert code(finish(one.host, None, f"code={code_for(one.host, state)}&state={state}")) == "SIGN-IN-FAILED"
    # A code is for one browser, one host, and one time.
    stolen = code_for(one.host, state)
    other, other_state = begin(one.host)
    assert code(finish(one.host, other, f"code={stolen}&state={other_state}")) == "SIGN-IN-FAILED"
    assert code(finish(one.host, cookie, f"code={stolen}&state={state}")) == "SIGN-IN-FAILED"
    mine = code_for(one.host, state)
    sibling = f"__Host-postern-pending={state}.%2F"
    assert code(finish(two.host, sibling, f"code={mine}&state={state}")) == "SIGN-IN-FAILED"
    good = code_for(one.host, state)
    status, headers, _ = finish(one.host, cookie, f"code={good}&state={state}")
    assert status == 303 and headers["Location"] == "/"
    session = headers.get_all("Set-Cookie")[0].split(";")[0]
    assert code(finish(one.host, cookie, f"code={good}&state={state}")) == "SIGN-IN-FAILED"
    # The session of a sibling is worth nothing.
    assert get(edge, one.host, headers={"Cookie": session})[0] == 200
    assert code(get(edge, two.host, headers={"Cookie": session})) == "SIGN-IN"
    # The cookie's path leads nowhere else, and neither does /authorize.
    for target in ("//evil.example/", "/%5Cevil.example", "https://evil.example/", "%0d%0aX:y"):
        cookie, state = begin(one.host)
        forged = f"__Host-postern-pending={state}.{target.replace('/', '%2F')}"
        _, headers, _ = finish(one.host, forged, f"code={code_for(one.host, state)}&state={state}")
        assert headers["Location"] == "/", target
    for query in ("host=evil.example&state=" + state, f"host={one.host}&state=x", f"host={one.host}", f"state={state}",
                  f"host={one.host}/..&state={state}", f"host={one.host}@evil.example&state={state}"):
        answer = own.get(f"/authorize?{query}")
        assert answer.status in (400, 404) and "refresh" not in answer.headers, (query, answer.status)
    # An API token is no browser: it cannot fetch codes.
    answer = Browser(edge).request("GET", f"/authorize?host={one.host}&state={state}", headers={"Authorization": f"Bearer {ana.pst}"})
    assert answer.status == 303 and answer.location.startswith("/sign-in?next=") and "refresh" not in answer.headers


def test_members_by_name_and_the_end_of_a_membership(edge, ana, tunnels, services):
    """--member names people; who leaves loses requests at once and streams within moments."""
    ben, cy, eve = Person(edge, "Ben"), Person(edge, "cy"), Person(edge, "eve")
    organisation = team(ana, [(ben, "member"), (cy, "member")])
    held = threading.Event()

    def endless(service, connection):
        head, _ = service.head(connection)
        if "/stream" not in head:
            return connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
        held.wait(PATIENCE)

    token = token_for(ana, organisation)
    status, made = edge.call("POST", "/tokens", {"name": "box"}, token)
    assert status == 201, made
    ana.api.token = made["token"]
    tunnel = tunnels(ana.api, "http", str(services(endless).port), "--member", "ben").online()
    inside = sign_in(edge, ben, tunnel.host)
    assert get(edge, tunnel.host, headers=inside)[0] == 200
    # Another member is told as whom it is signed in; a stranger gets no code.
    named = get(edge, tunnel.host, headers=sign_in(edge, cy, tunnel.host))
    assert code(named) == "NOT-ALLOWED" and b"signed in as cy" in named[2]
    stranger = Browser(edge)
    stranger.sign_in(eve)
    _, headers, _ = get(edge, tunnel.host, headers=PAGE)
    answer = stranger.get(headers["Location"].removeprefix(f"https://box.test:{edge.port}"))
    assert answer.status == 403 and "only for members" in answer.text and "refresh" not in answer.headers
    visitor = Visitor(edge, tunnel.host)
    visitor.request("GET", "/stream", headers={"Host": tunnel.host, **inside})
    answer = visitor.getresponse()
    assert answer.read(5) == b"begin"
    status, _ = edge.call("DELETE", f"/organisations/{organisation}/members/{ben.id}", token=token)
    assert status == 204
    with pytest.raises(Exception):
        answer.read()
    assert code(get(edge, tunnel.host, headers=inside)) == "SIGN-IN"
    # The connection that was cut counts no more.
    wait_for(lambda: edge.call("GET", f"/tunnels/{tunnel.host.split('.')[0]}", token=token)[1]["connections"] == 0, "its place")
    held.set()
    visitor.close()


def test_signing_out_ends_the_session_on_tunnels(edge, ana, tunnels, services):
    tunnel = tunnels(ana.api, "http", str(services().port), "--private").online()
    own = Browser(edge)
    own.sign_in(ana)
    inside = sign_in(edge, ana, tunnel.host, "/a?b=c", own)
    assert get(edge, tunnel.host, headers=inside)[0] == 200
    assert own.post("/sign-out", "/account").status == 303
    wait_for(lambda: code(get(edge, tunnel.host, headers=inside)) == "SIGN-IN", "the end of the session")


# Tokens


@pytest.fixture(scope="module")
def key():
    return jwk.ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})


def test_bearer_tokens(edge, ana, tunnels, services, key, tmp_path):
    """Accepted with the right key, issuer, audience and time; refused for every other reason."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    tunnel = tunnels(ana.api, "http", str(services().port), "--bearer-keys", str(keys), "--bearer-issuer", "https://id.example",
                     "--bearer-audience", "demo").online()
    now = int(time.time())
    good = {"iss": "https://id.example", "aud": "demo", "exp": now + 300}
    sign = lambda claims, key=key, header={"alg": "ES256", "kid": "one"}: jwt.encode(header, claims, key, algorithms=[header["alg"]])
    ask = lambda token: get(edge, tunnel.host, headers={"Authorization": f"Bearer {token}"})
    token = sign(good)
    for _ in range(2):
        status, _, body = ask(token)
        assert status == 200 and f"Authorization: Bearer {token}".encode() in body
    assert ask(sign({**good, "aud": ["other", "demo"]}))[0] == 200
    assert ask(sign(good, header={"alg": "ES256"}))[0] == 200
    stranger = jwk.ECKey.generate_key("P-256")
    secret = jwk.OctKey.import_key(json.dumps(key.as_dict(private=False)))
    for claims in ({**good, "iss": "https://evil.example"}, {**good, "aud": "other"}, {**good, "exp": now - 300},
                   {**good, "nbf": now + 300}, {"iss": good["iss"], "aud": "demo"}, {"aud": "demo", "exp": now + 300},
                   {"iss": good["iss"], "exp": now + 300}):
        assert code(ask(sign(claims))) == "TOKEN", claims
    for token in (sign(good, stranger), sign(good, secret, {"alg": "HS256", "kid": "one"}), "x", "a.b.c", "", "." * 100,
                  "eyJhbGciOiJub25lIn0." + sign(good).split(".")[1] + ".", sign(good)[:-4] + "AAAA", "é", "x" * 9000):
        assert code(ask(token.encode("utf-8").decode("latin-1"))) == "TOKEN", token[:80]
    for header in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": sign(good)}):
        assert code(get(edge, tunnel.host, headers=header)) == "TOKEN"


def test_a_policy_without_a_usable_key_opens_nothing(edge, ana, tunnels, services, tmp_path):
    """A missing, empty or malformed file of keys: the command says what is wrong and serves nothing."""
    keys = tmp_path / "keys.json"
    for text in (None, "", "{}", '{"keys":[]}', '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}', "not JSON"):
        if text is not None:
            keys.write_text(text)
        done = run(ana.api, "http", str(services().port), "--bearer-keys", str(keys))
        assert done.returncode != 0 and ("keys.json" in done.stderr or "key set" in done.stderr), (text, done)
        assert "https://" not in done.stdout


# Limits


def test_rates_by_address_and_by_header(edge, ana, tunnels, services):
    tunnel = tunnels(ana.api, "http", str(services().port), "--rate-limit", "3", "--rate-by", "X-Key").online()
    ask = lambda **headers: get(edge, tunnel.host, headers=headers)
    assert [ask(**{"X-Key": "a"})[0] for _ in range(4)] == [200, 200, 200, 429]
    refused = ask(**{"X-Key": "a"})
    assert code(refused) == "RATE" and 1 <= int(refused[1]["Retry-After"]) <= 20 and b"3 requests per minute" in refused[2]
    # Another key, and visitors without one, have their own.
    assert [ask(**{"X-Key": "b"})[0] for _ in range(3)] == [200] * 3
    assert [ask()[0] for _ in range(4)] == [200, 200, 200, 429]


def test_requests_at_the_same_time(edge, ana, tunnels, services):
    go, begun = threading.Event(), threading.Semaphore(0)

    def slow(service, connection):
        while service.head(connection)[0] is not None:
            begun.release()
            go.wait(PATIENCE)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    tunnel = tunnels(ana.api, "http", str(services(slow).port), "--max-requests", "2").online()
    results = []
    threads = [threading.Thread(target=lambda: results.append(get(edge, tunnel.host)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert begun.acquire(timeout=PATIENCE)
    refused = get(edge, tunnel.host)
    assert code(refused) == "CONCURRENCY" and refused[1]["Retry-After"] == "1"
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [200, 200]
    assert [get(edge, tunnel.host)[0] for _ in range(5)] == [200] * 5


def test_the_breaker_opens_after_failures_and_tries_again(edge, ana, tunnels, services):
    state = {"status": 500}

    def answer(service, connection):
        while service.head(connection)[0] is not None:
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % state["status"])

    service = services(answer)
    tunnel = tunnels(ana.api, "http", str(service.port), "--breaker", "3/1").online()
    assert [get(edge, tunnel.host)[0] for _ in range(2)] == [500] * 2
    state["status"] = 200
    assert get(edge, tunnel.host)[0] == 200
    state["status"] = 503
    assert [get(edge, tunnel.host)[0] for _ in range(3)] == [503] * 3
    known = len(service.requests)
    refused = get(edge, tunnel.host)
    assert code(refused) == "BREAKER" and refused[1]["Retry-After"] == "1" and len(service.requests) == known
    state["status"] = 200
    wait_for(lambda: get(edge, tunnel.host)[0] == 200, "the breaker to close")
    assert [get(edge, tunnel.host)[0] for _ in range(3)] == [200] * 3


def test_a_long_answer_neither_keeps_the_breaker_open_nor_opens_it(edge, ana, tunnels, services):
    """The breaker learns from an answer's head: a stream that goes on for hours, or a visitor that leaves it, says nothing more."""
    state = {"status": 500}
    go = threading.Event()

    def answer(service, connection):
        while True:
            head, _ = service.head(connection)
            if head is None:
                return
            if "/stream" in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
                go.wait(PATIENCE)
                return
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % state["status"])

    tunnel = tunnels(ana.api, "http", str(services(answer).port), "--breaker", "2/1").online()
    assert [get(edge, tunnel.host)[0] for _ in range(2)] == [500] * 2 and code(get(edge, tunnel.host)) == "BREAKER"
    state["status"] = 200

    def stream():
        visitor = Visitor(edge, tunnel.host)
        visitor.request("GET", "/stream", headers={"Host": tunnel.host})
        answer = visitor.getresponse()
        return (visitor, answer) if answer.status == 200 and answer.read(5) == b"begin" else None

    visitor, _ = wait_for(stream, "the breaker to try")
    assert [get(edge, tunnel.host)[0] for _ in range(3)] == [200] * 3
    visitor.close()
    for _ in range(4):
        stream()[0].close()
    assert [get(edge, tunnel.host)[0] for _ in range(3)] == [200] * 3
    go.set()


def test_headers_are_set_and_removed(edge, ana, tunnels, services):
    def answer(service, connection):
        while True:
            head, _ = service.head(connection)
            if head is None:
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Old: 1\r\nContent-Length: %d\r\n\r\n" % len(head) + head.encode())

    tunnel = tunnels(ana.api, "http", str(services(answer).port), "--request-header", "X-Env: test", "--request-header", "accept: a/b",
                     "--remove-request-header", "User-Agent", "--response-header", "X-Frame-Options: DENY",
                     "--remove-response-header", "server").online()
    status, headers, body = get(edge, tunnel.host, headers={"X-Env": "forged", "User-Agent": "me", "Accept": "c/d"})
    assert status == 200 and b"X-Env: test" in body and b"forged" not in body and b"User-Agent" not in body
    assert b"accept: a/b" in body and b"c/d" not in body
    assert headers["X-Frame-Options"] == "DENY" and "Server" not in headers and headers["X-Old"] == "1"
    for option, value, said in (("--request-header", "Host: x", "cannot be changed"), ("--response-header", "Transfer-Encoding: x", "cannot be changed"),
                                ("--request-header", "nonsense", "Name: value"), ("--remove-request-header", "X-Postern-User", "cannot be changed"),
                                ("--request-header", "A b: c", "Name: value"),
                                ("--response-header", "set-cookie: a=b; Domain=t.test", "cannot be set"), ("--request-header", "X: a\rb", "control characters")):
        done = run(ana.api, "http", "1", option, value)
        assert done.returncode != 0 and said in done.stderr, (value, done)


# Stored policies


def test_a_stored_policy_applies_besides_the_commands(edge, ana, tunnels, services):
    """By command, API and page: shown without passwords, applied at once, and gone when it is removed."""
    tunnel = tunnels(ana.api, "http", str(services().port), "--name", "demo", "--deny", "198.51.100.0/24").online()
    assert get(edge, tunnel.host)[0] == 200
    assert "Everybody who knows" in run(ana.api, "access", "show", "demo").stdout
    done = run(ana.api, "access", "set", "demo", "--basic-auth", "guest:correct-horse", "--rate-limit", "1000")
    assert done.returncode == 0 and done.stdout == "1 passwords\n1000 requests a minute\n", done
    assert code(get(edge, tunnel.host)) == "PASSWORD"
    password = {"Authorization": "Basic Z3Vlc3Q6Y29ycmVjdC1ob3JzZQ=="}
    status, _, body = get(edge, tunnel.host, headers=password)
    assert status == 200 and b"Authorization" not in body
    shown = json.loads(run(ana.api, "access", "show", "demo", "--json").stdout)
    assert shown == {"basicAuth": ["guest:********"], "rate": {"perMinute": 1000}}
    # What is shown can be sent again: the password stays.
    status, now = ana.call("PUT", "/tunnels/demo/policy", {**shown, "concurrency": 5})
    assert status == 200 and now["concurrency"] == 5 and get(edge, tunnel.host, headers=password)[0] == 200
    status, refused = ana.call("PUT", "/tunnels/demo/policy", {"basicAuth": ["other:********"]})
    assert status == 409 and "no stored password for other" in refused["message"]
    # The page, filled in as it is.
    page = Browser(edge)
    page.sign_in(ana)
    assert "1 passwords, 1000 requests a minute" in page.get("/organisation/tunnels/demo/access").text
    answer = page.post("/organisation/tunnels/demo/access", private="yes", members="", breaker="x")
    assert answer.status == 400 and "FAILURES/SECONDS" in answer.text
    answer = page.post("/organisation/tunnels/demo/access", private="yes", members="ana\n", breaker="5/30", allow="127.0.0.0/8")
    assert answer.status == 303, answer.text
    assert code(get(edge, tunnel.host, headers=password)) == "SIGN-IN"
    assert get(edge, tunnel.host, headers=sign_in(edge, ana, tunnel.host))[0] == 200
    # After a restart as well.
    edge.restart()
    wait_for(lambda: code(get(edge, tunnel.host)) == "SIGN-IN", lambda: code(get(edge, tunnel.host)))
    assert run(ana.api, "access", "clear", "demo").returncode == 0
    wait_for(lambda: get(edge, tunnel.host)[0] == 200, "the open tunnel")
    log = json.loads("[" + ",".join(run(ana.api, "audit", "list", "--organisation", "ana", "--action", "access", "--json", "--state",
                                        edge.state).stdout.splitlines()) + "]")
    assert [one["detail"] for one in log if one["action"] == "access.changed"][0] == "removed"


def test_what_cannot_be_read_lets_nobody_in(edge, ana, tunnels, services):
    """A stored policy that was damaged, or put from one tunnel to another."""
    service = services()
    one = tunnels(ana.api, "http", str(service.port), "--name", "one").online()
    two = tunnels(ana.api, "http", str(service.port), "--name", "two").online()
    for name in ("one", "two"):
        assert run(ana.api, "access", "set", name, "--rate-limit", "10").returncode == 0
    assert get(edge, one.host)[0] == 200
    edge.stop()
    with sqlite3.connect(f"{edge.state}/postern.db") as database:
        first, second = database.execute("SELECT sealed FROM access_policies ORDER BY id").fetchall()
        database.execute("UPDATE access_policies SET sealed = ? WHERE sealed = ?", (b"\x01" + bytes(40), first[0]))
        database.execute("UPDATE access_policies SET sealed = ? WHERE sealed = ?", (first[0], second[0]))
    edge.start()
    for tunnel in (one, two):
        wait_for(lambda: code(get(edge, tunnel.host)) == "POLICY", lambda: code(get(edge, tunnel.host)))
    assert "an access policy cannot be read" in edge.log.read_text()
    # Set again, it works.
    assert run(ana.api, "access", "set", "one", "--rate-limit", "10").returncode == 0
    wait_for(lambda: get(edge, one.host)[0] == 200, "the mended policy")


def test_policies_of_connections_and_of_others(edge, ana, tunnels, services):
    """tcp takes addresses alone; nobody sees or changes somebody else's policy; the plan's address lists."""
    tunnel = tunnels(ana.api, "tcp", str(services().port)).online()
    place = str(tunnel.port)
    done = run(ana.api, "access", "set", place, "--private")
    assert done.returncode == 1 and "Use an http tunnel" in done.stderr
    assert run(ana.api, "access", "set", place, "--deny", "127.0.0.0/8").returncode == 0
    import socket
    with pytest.raises(OSError):
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=PATIENCE) as visitor:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            if not visitor.recv(1):
                raise OSError("closed")
    ben = Person(edge, "ben")
    for method in ("GET", "PUT", "DELETE"):
        assert ben.call(method, f"/tunnels/{place}/policy", {} if method == "PUT" else None)[0] == 404
    cy = Person(edge, "cy", "--plan", "free")
    http = tunnels(cy.api, "http", str(services().port), "--name", "cys").online()
    status, refused = cy.call("PUT", "/tunnels/cys/policy", {"allow": ["203.0.113.0/24"]})
    assert status == 403 and refused["code"] == "ip_allowlist_not_allowed", refused
    assert cy.call("PUT", "/tunnels/cys/policy", {"members": []})[0] == 200
    assert code(get(edge, http.host)) == "SIGN-IN"
    for wrong in ({"allow": ["x"]}, {"basicAuth": []}, {"basicAuth": ["a:b"]}, {"rate": {"perMinute": 0}}, {"concurrency": -1},
                  {"breaker": {"failures": 0, "seconds": 1}}, {"bearer": {"keys": "{}"}}, {"requestHeaders": {"set": {"Host": "x"}}},
                  {"members": [""]}, {"rate": {"perMinute": "many"}}):
        status, refused = ana.call("PUT", f"/tunnels/{place}/policy", wrong)
        assert status in (400, 409) and refused["code"] in ("bad_request", "not_possible"), (wrong, refused)
