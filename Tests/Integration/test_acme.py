"""Certificates by ACME, against a certificate authority that refuses nonces at random and forgets nothing."""

import json
import os
import signal
import socket
import ssl
import subprocess
from datetime import datetime, timezone

import pytest

from acme import Front, Pebble, free_ports
from conftest import PATIENCE, POSTERN, wait_for


@pytest.fixture
def pebbles(tmp_path):
    started = []

    def make(**options):
        http, tls = free_ports(2)
        pebble = Pebble(tmp_path / f"pebble{len(started)}", http, tls, **options)
        pebble.http, pebble.tls = http, tls
        started.append(pebble)
        return pebble

    yield make
    for pebble in started:
        pebble.close()


def options(pebble, *more, challenge="http-01", names="box.test"):
    return ["--http", f"127.0.0.1:{pebble.http}", "--tls-mode", "acme", "--tls-names", names, "--acme-agree", "yes",
            "--acme-directory", pebble.directory_url, "--acme-ca-file", pebble.root, "--acme-email", "owner@box.test",
            "--acme-challenge", challenge, *more]


def start(make_server, pebble, *more, name="state", **keywords):
    server_options = options(pebble, *more, **keywords)
    server = make_server(*server_options, tls=True, at=f"127.0.0.1:{pebble.tls}", name=name)
    server.acme_options = server_options
    return server


def shown(server, name="box.test"):
    """The certificate that a client gets: its DER, or None when nobody vouches for the name yet."""
    host, port = server.address.rsplit(":", 1)
    context = ssl._create_unverified_context()
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
        with context.wrap_socket(raw, server_hostname=name) as tls:
            return tls.getpeercert(True)


def status(server):
    done = subprocess.run([POSTERN, "cert", "status", "--json", "--state", server.state],
                          env=environment(server), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def environment(server):
    found = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
    for flag, value in zip(server.acme_options[::2], server.acme_options[1::2]):
        found["POSTERN_" + flag.removeprefix("--").upper().replace("-", "_")] = value
    return found


def renew(server, *more):
    return subprocess.run([POSTERN, "cert", "renew", *more, "--state", server.state], env=environment(server),
                          capture_output=True, text=True, timeout=PATIENCE * 3)


def in_force(server):
    return wait_for(lambda: (found := status(server)) and "Pebble" in found["issuer"] and found, lambda: status(server))


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_a_first_start_gets_a_certificate(make_server, pebbles, challenge):
    pebble = pebbles().start()
    server = start(make_server, pebble, challenge=challenge, names="box.test,www.box.test")
    found = in_force(server)
    assert set(found["names"]) == {"box.test", "www.box.test"} and found.get("problem") is None
    assert found["urgency"] == "good"
    wait_for(lambda: pebble_vouches(pebble, server), "the certificate on the socket")
    assert oct(os.stat(server.state + "/acme/certificate.pem").st_mode & 0o777) == "0o600"


def pebble_vouches(pebble, server):
    """A client that trusts only Pebble's own authority accepts the server."""
    root = pebble.get("/roots/0", management=True).decode()
    context = ssl.create_default_context(cadata=root)
    host, port = server.address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
            with context.wrap_socket(raw, server_hostname="box.test"):
                return True
    except ssl.SSLError:
        return False


def test_renewal_has_a_new_key_and_the_old_certificate_serves_until_then(make_server, pebbles):
    pebble = pebbles().start()
    server = start(make_server, pebble)
    before = in_force(server)["fingerprint"]
    key = lambda: open(server.state + "/acme/certificate.pem").read().split("-----END PRIVATE KEY-----")[0]
    old = key()
    done = renew(server)
    assert done.returncode == 0, done.stderr
    assert status(server)["fingerprint"] != before and key() != old


def test_the_accounts_key_is_rolled_over(make_server, pebbles):
    pebble = pebbles().start()
    server = start(make_server, pebble)
    in_force(server)
    key = lambda: open(server.state + "/acme/account.key").read()
    old = key()
    done = renew(server, "--new-account-key")
    assert done.returncode == 0, done.stderr
    assert key() != old and not os.path.exists(server.state + "/acme/rollover.request")
    # The new key is good for another one.
    assert renew(server).returncode == 0


def test_a_crash_between_order_and_finalise_resumes_the_order(make_server, pebbles):
    # The authority takes its time for the proof, up to three seconds as its dice fall: the order is open while the server is
    # killed. Where it looks just then, nobody answers, the order is void, and a new one is right; then it is tried again.
    for attempt in range(8):
        pebble = pebbles(nonce_reject=0, sleep=3).start()
        server = start(make_server, pebble, name=f"state{attempt}")
        wait_for(lambda: "proving box.test" in server.log.read_text(), "the proof")
        server.stop(signal.SIGKILL)
        server.start()
        wait_for(lambda: "new certificate" in server.log.read_text()
                 or status(server)["doing"] == "waiting after a failure", "the end of the order")
        log = server.log.read_text()
        if "going on with the order of before" in log and log.count("ordering a certificate") == 1:
            return
        server.stop()
    raise AssertionError(f"no order was resumed: {log}")


def test_a_failed_proof_says_so_in_the_authoritys_words_and_the_next_attempt_works(make_server, pebbles):
    pebble = pebbles().start()
    # The wrong port: nobody answers the check where the authority looks.
    pebble.point("box.test", "127.0.0.77")
    server = start(make_server, pebble)
    found = wait_for(lambda: (found := status(server)) and found.get("problem") and found, "the failure")
    assert "box.test" in found.get("problem") and found["doing"] == "waiting after a failure"
    assert found["mode"] == "acme" and found["nextAttempt"]
    assert "no certificate" in server.log.read_text()
    # Meanwhile people get an answer, even if nobody vouches for it.
    assert shown(server) is not None
    pebble.unpoint("box.test")
    done = renew(server)
    assert done.returncode == 0, done.stderr
    assert status(server).get("problem") is None


def test_an_authority_that_is_down_is_waited_for_over_a_restart(make_server, pebbles):
    pebble = pebbles()
    server = start(make_server, pebble)
    found = wait_for(lambda: (found := status(server)) and found.get("problem") and found, "the failure")
    assert "cannot be reached" in found.get("problem")
    server.restart()
    assert status(server)["nextAttempt"] == found["nextAttempt"]
    pebble.start()
    assert renew(server).returncode == 0


def test_an_external_account_is_bound(make_server, pebbles, tmp_path):
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    pebble = pebbles(binding={"kid-1": key}).start()
    secret = tmp_path / "hmac"
    secret.write_text(key + "\n")
    server_options = options(pebble, "--acme-eab-key-id", "kid-1")
    server = make_server(*server_options, tls=True, at=f"127.0.0.1:{pebble.tls}",
                         environment={"POSTERN_ACME_EAB_HMAC_KEY_FILE": str(secret)})
    server.acme_options = [*server_options, "--acme-eab-hmac-key", key]
    in_force(server)


def test_an_authority_that_wants_an_external_account_says_so(make_server, pebbles):
    pebble = pebbles(binding={"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}).start()
    server = start(make_server, pebble)
    found = wait_for(lambda: (found := status(server)) and found.get("problem") and found, "the failure")
    assert "acme-eab-key-id" in found.get("problem")


def test_names_that_nobody_configured_get_an_alert_and_no_order(make_server, pebbles):
    pebble = pebbles().start()
    server = start(make_server, pebble)
    in_force(server)
    wait_for(lambda: pebble_vouches(pebble, server), "the certificate on the socket")
    with pytest.raises(ssl.SSLError, match="unrecognized name|UNRECOGNIZED_NAME"):
        shown(server, "other.test")
    assert "other.test" not in pebble.log


@pytest.fixture
def fronts(pebbles):
    started = []

    def make(**options):
        front = Front(pebbles(**options).start())
        front.root, front.http, front.tls = front.pebble.root, front.pebble.http, front.pebble.tls
        started.append(front)
        return front

    yield make
    for front in started:
        front.close()


def test_a_rate_limit_is_honoured_and_shown(make_server, fronts):
    front = fronts()
    front.limit_next = 7200
    server = start(make_server, front)
    found = wait_for(lambda: (found := status(server)) and found.get("problem") and found, "the limit")
    assert "rateLimited: too many orders; come back later" in found["problem"]
    wait = datetime.fromisoformat(found["nextAttempt"]) - datetime.now(timezone.utc)
    assert 7100 < wait.total_seconds() <= 7200
    assert len(front.orders) == 1


def test_renewal_information_is_honoured_with_replaces(make_server, fronts):
    front = fronts()
    front.window = ("2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z")
    server = start(make_server, front)
    before = in_force(server)["fingerprint"]
    wait_for(lambda: front.asked, "the question")
    wait_for(lambda: status(server)["nextAttempt"] > "2099", "the answer")
    # Pebble rejects nonces at random, so an order may have been sent more than once.
    first = len(front.orders)
    assert not any("replaces" in order for order in front.orders)
    # The authority revokes soon: it wants everybody to renew now.
    front.window = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z")
    server.restart()
    wait_for(lambda: status(server)["fingerprint"] != before, "the new certificate")
    assert front.orders[first]["replaces"] == front.asked[0]
