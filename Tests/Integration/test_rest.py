"""The REST contract, by a client that knows nothing of Postern."""

import re
import socket
import threading

import pytest


def test_health_says_ok_with_version_and_uptime(server):
    status, body = server.call("GET", "/health")
    assert status == 200 and body["status"] == "ok"
    assert set(body) == {"status", "timestamp", "version", "uptimeSeconds"}


def test_every_error_leads_to_its_explanation(server):
    """The codes in the source have a section each, and a response names its own."""
    from pathlib import Path
    root = Path(__file__).resolve().parents[2]
    sections = set(re.findall(r"^## (\w+)$", (root / "docs/error-codes.md").read_text(), re.M))
    codes = set()
    for file in (root / "Sources").rglob("*.swift"):
        text = file.read_text()
        codes |= set(re.findall(r'static let \w+ = Self\("([a-z_]+)", \.\w+\)', text))
        codes |= set(re.findall(r'APIError\(\s*\.\w+, "([a-z_]+)"', text))
    assert len(codes) > 40 and codes <= sections, codes - sections
    import urllib.error
    import urllib.request
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(server.url + "/sessions")
    assert refused.value.headers["Link"] == '</docs/error-codes#unauthorized>; rel="help"'
    with urllib.request.urlopen(server.url + "/docs/error-codes") as page:
        assert '<h2 id="unauthorized">' in page.read().decode()


def test_status_page_is_html(server):
    import urllib.request
    with urllib.request.urlopen(server.url + "/") as answer:
        page = answer.read().decode()
    assert answer.status == 200 and "Everything works" in page and "text/html" in answer.headers["Content-Type"]


def test_signing_in_by_token_and_by_the_jwt_made_from_it(server, ana):
    status, body = ana.call("POST", "/auth/token")
    assert status == 200 and body["tokenType"] == "Bearer" and body["expiresIn"] == 900
    assert re.fullmatch(r"[A-Za-z0-9._-]{10,2048}", body["accessToken"])
    status, me = server.call("GET", "/auth/me", token=body["accessToken"])
    assert (status, me) == (200, {"id": ana.id, "username": "ana", "email": None, "tier": "enterprise"})
    for bad in (None, "", "x", ana.token[:-1], body["accessToken"][:-2]):
        assert server.call("GET", "/auth/me", token=bad)[0] == 401


def test_sessions_and_codes_live_as_the_contract_says(server, ana, ben):
    status, session = ana.call("POST", "/sessions", {"hostPublicKey": "key", "sessionName": "open", "extra": 1})
    assert status == 201
    assert set(session) == {"id", "hostUserId", "hostPublicKey", "sessionName", "startedAt", "endedAt"}
    status, code = ana.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read", "maxUses": 3})
    assert status == 201 and re.fullmatch(r"SYCLX-[A-Z0-9]{6}", code["code"])
    assert set(code) == {"code", "sessionId", "permission", "maxUses", "currentUses", "expiresAt", "revoked", "createdAt"}
    assert ana.call("GET", "/sessions")[1] == [{**session, "codes": [code]}]
    assert ana.call("GET", f"/sessions/{session['id']}/codes")[1] == [code]
    assert ben.call("GET", "/sessions")[1] == []
    for spelling in (code["code"], code["code"].lower(), code["code"].replace("-", "")):
        assert server.call("GET", f"/codes/{spelling}/validate") == (
            200, {"valid": True, "permission": "read",
                  "session": {"id": session["id"], "sessionName": "open", "hostUsername": "ana"}})
    # What is not one's own changes nothing.
    assert ben.call("DELETE", f"/codes/{code['code']}")[0] == 404
    assert ben.call("DELETE", f"/sessions/{session['id']}")[0] == 204
    assert server.call("GET", f"/codes/{code['code']}/validate")[1]["valid"]
    assert ben.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read"}) [1]["message"] == \
        "Session not found or not owned by you"
    assert ana.call("DELETE", f"/codes/{code['code']}")[0] == 204
    assert server.call("GET", f"/codes/{code['code']}/validate")[1] == {"valid": False, "error": "Code has been revoked"}
    assert ana.call("GET", f"/sessions/{session['id']}/codes")[1] == []
    assert ana.call("DELETE", f"/sessions/{session['id']}")[0] == 204
    assert ana.call("DELETE", f"/sessions/{session['id']}")[0] == 204
    assert ana.call("GET", "/sessions")[1] == []


def test_validation_says_why_a_code_is_not_good(server, ana):
    session = ana.call("POST", "/sessions", {"hostPublicKey": "key"})[1]
    code = ana.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read"})[1]["code"]
    ana.call("DELETE", f"/sessions/{session['id']}")
    assert server.call("GET", f"/codes/{code}/validate")[1] == {"valid": False, "error": "Session has ended"}
    for unknown in ("SYCLX-000000", "nonsense", "SYCLX-12345", "%00"):
        assert server.call("GET", f"/codes/{unknown}/validate")[1] == {"valid": False, "error": "Code not found"}


def test_limits_of_the_free_plan_name_themselves(server):
    free = server.user("free", "--plan", "free")
    session = free.call("POST", "/sessions", {"hostPublicKey": "key"})[1]
    status, refusal = free.call("POST", "/sessions", {"hostPublicKey": "key"})
    assert status == 403 and refusal["message"] == "Share limit reached (1). Upgrade to Pro for more."
    assert (refusal["code"], refusal["limit"], refusal["current"], refusal["plan"]) == ("share_limit_reached", 1, 1, "free")
    codes = f"/sessions/{session['id']}/codes"
    assert free.call("POST", codes, {"permission": "read", "expiresInMinutes": 31})[1]["message"] == \
        "Max duration is 30 minutes on free tier."
    assert free.call("POST", codes, {"permission": "read", "expiresInMinutes": 0})[1]["expiresAt"]
    assert free.call("POST", codes, {"permission": "control"})[0] == 201
    assert free.call("POST", codes, {"permission": "read"})[1]["message"] == \
        "Code limit reached (2). Upgrade to Pro for unlimited."


def test_parallel_requests_at_a_limit_exactly_the_limit_succeed(server):
    pro = server.user("pro", "--plan", "pro")
    results = []
    threads = [threading.Thread(target=lambda: results.append(pro.call("POST", "/sessions", {"hostPublicKey": "k"})[0]))
               for _ in range(25)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(results) == [201] * 5 + [403] * 20


@pytest.mark.parametrize("body, word", [
    (b"", "body"), (b"{", "JSON"), (b"[]", "object"), (b"null", "object"), ({"hostPublicKey": 5}, "hostPublicKey"),
    ({}, "hostPublicKey"), ({"hostPublicKey": ""}, "hostPublicKey"), ({"hostPublicKey": "k" * 600}, "hostPublicKey"),
    ({"hostPublicKey": "k", "sessionName": []}, "sessionName"), (b"\xff\xfe", "JSON"),
])
def test_bad_bodies_are_400_and_name_the_field(ana, body, word):
    status, error = ana.call("POST", "/sessions", body)
    assert status == 400 and word in error["message"] and isinstance(error["message"], str), error


def test_bad_code_requests_are_400(ana):
    session = ana.call("POST", "/sessions", {"hostPublicKey": "key"})[1]
    for body in ({}, {"permission": "write"}, {"permission": 1}, {"permission": "read", "maxUses": 0},
                 {"permission": "read", "maxUses": -1}, {"permission": "read", "maxUses": 2**62},
                 {"permission": "read", "expiresInMinutes": -5}, {"permission": "read", "expiresInMinutes": 2**60},
                 {"permission": "read", "expiresInMinutes": "x"}):
        status, error = ana.call("POST", f"/sessions/{session['id']}/codes", body)
        assert status == 400 and isinstance(error["message"], str), (body, error)


def test_too_large_a_body_is_413(ana):
    assert ana.call("POST", "/sessions", b" " * (65 << 10))[0] == 413


def test_public_calls_are_rate_limited_by_address(make_server):
    server = make_server("--public-calls-per-minute", "5")
    answers = [server.call("GET", "/codes/SYCLX-000000/validate") for _ in range(7)]
    assert [status for status, _ in answers] == [200] * 5 + [429] * 2
    assert "try again in" in answers[-1][1]["message"]


def test_every_answer_has_a_request_id(server):
    import urllib.request
    with urllib.request.urlopen(server.url + "/health") as one, urllib.request.urlopen(server.url + "/health") as two:
        assert one.headers["X-Request-Id"] and one.headers["X-Request-Id"] != two.headers["X-Request-Id"]


def test_ten_thousand_malformed_requests_do_not_move_the_server(server, ana):
    import random
    dice = random.Random(7)
    host, port = server.address.split(":")
    before = None
    for round in range(2500):
        with socket.create_connection((host, int(port))) as peer:
            kind = round % 5
            if kind == 0:
                data = dice.randbytes(dice.randrange(1, 300))
            elif kind == 1:
                data = b"GET /" + dice.randbytes(20).replace(b"\n", b"").replace(b"\r", b"") + b" HTTP/1.1\r\nHost: x\r\n\r\n"
            elif kind == 2:
                data = b"POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"
            elif kind == 3:
                data = b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n"
            else:
                data = b"".join(
                    b"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ana.token.encode()
                    + b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                    for body in (dice.randbytes(dice.randrange(1, 60)) for _ in range(16)))
            try:
                peer.sendall(data)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
            except OSError:
                pass
        if round == 500:
            before = server.rss()
    assert server.call("GET", "/health")[0] == 200
    assert server.rss() < before + 40, "memory grew"
