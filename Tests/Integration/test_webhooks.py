"""Webhooks whose signature is verified on the machine: `postern http --verify`. Nothing unsigned reaches the service."""

import base64
import hashlib
import hmac
import json
import subprocess
import time

import pytest

from conftest import PATIENCE, POSTERN
from tunnels import connect, edge, get, services, tunnels  # noqa: F401

SECRET = "whsec_a-secret-of-some-length"


def sign(text, kind=hashlib.sha256):
    return hmac.new(SECRET.encode(), text, kind)


@pytest.fixture
def ana(edge):
    return edge.user("ana")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return path


def reader(service, connection):
    """Answers with the body it was sent."""
    while True:
        head, rest = service.head(connection)
        if head is None:
            return
        if "chunked" in head:
            while not rest.endswith(b"0\r\n\r\n"):
                rest += connection.recv(65536)
        else:
            length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
            while len(rest) < length:
                rest += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(rest) + rest)


def signatures(body):
    """By sender: the headers of a signed request, and those of wrong ones."""
    now, old = int(time.time()), int(time.time()) - 3600
    stripe = lambda at, text=body: f"t={at},v1={sign(b'%d.' % at + text).hexdigest()}"
    slack = lambda at, text=body: {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": "v0=" + sign(b"v0:%d:" % at + text).hexdigest()}
    github = "sha256=" + sign(body).hexdigest()
    return {
        "stripe": ({"Stripe-Signature": stripe(now)},
                   [{}, {"Stripe-Signature": stripe(old)}, {"Stripe-Signature": stripe(now, body + b"x")}, {"Stripe-Signature": f"t={now}"},
                    {"Stripe-Signature": stripe(now).replace("v1", "v0")}, {"Stripe-Signature": stripe(old).replace(str(old), str(now))},
                    {"Stripe-Signature": f"t=x,v1={sign(body).hexdigest()}"}]),
        "github": ({"X-Hub-Signature-256": github},
                   [{}, {"X-Hub-Signature-256": github[:-1] + ("0" if github[-1] != "0" else "1")}, {"X-Hub-Signature-256": github[7:]},
                    {"X-Hub-Signature": "sha1=" + sign(body, hashlib.sha1).hexdigest()}, {"X-Hub-Signature-256": "sha256="}]),
        "slack": (slack(now), [{}, slack(old), slack(now, body + b"x"), {**slack(now), "X-Slack-Request-Timestamp": str(now + 1)},
                               {"X-Slack-Signature": slack(now)["X-Slack-Signature"]}]),
        "hmac:X-Sign": ({"X-Sign": base64.b64encode(sign(body).digest()).decode()},
                        [{}, {"X-Sign": base64.b64encode(sign(body + b"x").digest()).decode()}, {"X-Sign": "!"}, {"X-Sign": ""}]),
    }


@pytest.mark.parametrize("sender", ["stripe", "github", "slack", "hmac:X-Sign"])
def test_only_signed_webhooks_reach_the_service(edge, ana, tunnels, services, secret, sender):
    body = json.dumps({"event": "paid", "amount": 1}).encode()
    service = services(reader)
    tunnel = tunnels(ana, "http", str(service.port), "--verify", f"{sender}:{secret}").online()
    good, wrong = signatures(body)[sender]
    for headers in wrong:
        status, _, answer = get(edge, tunnel.host, "/hook", "POST", body, headers)
        assert status == 401 and json.loads(answer)["code"] == "POSTERN-SIGNATURE", headers
    assert not service.requests
    for _ in range(2):
        assert get(edge, tunnel.host, "/hook", "POST", body, good)[::2] == (200, body)
    # In chunks, and with the header twice, which could be read in two ways.
    status, _, answer = get(edge, tunnel.host, "/hook", "POST", iter([body[:5], body[5:]]), {**good, "Transfer-Encoding": "chunked"})
    assert status == 200 and body[:5] in answer
    known = len(service.requests)
    name, value = next(iter(good.items()))
    with connect(edge, tunnel.host) as visitor:
        visitor.sendall(f"POST / HTTP/1.1\r\nHost: {tunnel.host}\r\nContent-Length: {len(body)}\r\n".encode()
                        + "".join(f"{one}: {text}\r\n" for one, text in good.items()).encode() + f"{name}: {value}\r\n\r\n".encode() + body)
        assert b"401" in visitor.recv(100)
    assert len(service.requests) == known


def test_large_webhooks_and_connections_are_refused(edge, ana, tunnels, services, secret):
    service = services(reader)
    tunnel = tunnels(ana, "http", str(service.port), "--verify", f"github:{secret}").online()
    ask = lambda body, **headers: get(edge, tunnel.host, "/hook", "POST", body, {
        "X-Hub-Signature-256": "sha256=" + sign(body).hexdigest(), **headers})
    limit = b"x" * (1 << 20)
    assert ask(limit)[0] == 200
    status, _, answer = ask(limit + b"x")
    assert status == 413 and json.loads(answer)["code"] == "POSTERN-WEBHOOK-TOO-LARGE"
    status, _, answer = get(edge, tunnel.host, "/hook", "GET", None, {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"})
    assert status == 403 and json.loads(answer)["code"] == "POSTERN-SIGNATURE"
    assert len(service.requests) == 1


def test_a_secret_that_cannot_be_read_opens_nothing(ana, tmp_path):
    empty, short = tmp_path / "empty", tmp_path / "short"
    empty.write_text("\n")
    short.write_text("1234567")
    for value, said in ((f"github:{tmp_path}/none", "cannot read"), (f"github:{empty}", "at least 8 bytes"), (f"stripe:{short}", "at least 8 bytes"),
                        ("github", "is not a webhook signature"), ("gitlab:x", "is not a webhook signature"), (f"hmac:{short}", "is not a webhook signature")):
        done = subprocess.run([POSTERN, "http", "1", "--verify", value], env=ana.environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode != 0 and said in done.stderr and "https://" not in done.stdout, (value, done)
