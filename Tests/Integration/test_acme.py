"""Certificates by ACME, against a certificate authority that refuses nonces at random and forgets nothing."""

import json
import os
import random
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


def start(make_server, pebble, *more, name="state", environment=None, **keywords):
    return make_server(*options(pebble, *more, **keywords), tls=True, at=f"127.0.0.1:{pebble.tls}", name=name,
                       environment=environment)


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
    return {**server.settings, **({"POSTERN_ACME_EAB_HMAC_KEY": server.secret} if hasattr(server, "secret") else {})}


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


def test_renew_waits_for_its_own_attempt_where_the_authority_takes_its_time(make_server, pebbles):
    pebble = pebbles().start()
    server = start(make_server, pebble)
    before = in_force(server)["fingerprint"]
    pebble.process.send_signal(signal.SIGSTOP)
    waiting = subprocess.Popen([POSTERN, "cert", "renew", "--new-account-key", "--state", server.state],
                               env=environment(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        # Before anything is heard of the authority, the last attempt's success is not this one's.
        assert waiting.stderr.readline() == "contacting the certificate authority …\n"
    finally:
        pebble.process.send_signal(signal.SIGCONT)
    said, _ = waiting.communicate(timeout=PATIENCE * 3)
    assert waiting.returncode == 0 and said == "A new certificate is in use.\n"
    assert status(server)["fingerprint"] != before


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
        wait_for(lambda: "validating box.test" in server.log.read_text(), "the proof")
        server.stop(signal.SIGKILL)
        server.start()
        wait_for(lambda: "new certificate" in server.log.read_text()
                 or status(server)["doing"] == "waiting after a failure", "the end of the order")
        log = server.log.read_text()
        if "resuming the previous order" in log and log.count("ordering a certificate") == 1:
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


class Clock:
    """Moves the server's time of day by libfaketime, as a file says; how fast time goes stays as it is."""

    def __init__(self, directory):
        self.file = directory / "clock"
        self.set("+0")
        # The library would put a variable of its own into the server's environment, behind which Swift does not find its arguments
        # any more; what the wrapper has put there already stays as it is.
        self.holder = subprocess.Popen(["faketime", "-f", "+0", "sh", "-c", "echo $FAKETIME_SHARED $LD_PRELOAD; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        *shared, library = self.holder.stdout.readline().split()
        self.environment = {"LD_PRELOAD": library.replace("libfaketime.so", "libfaketimeMT.so"), "FAKETIME_SHARED": " ".join(shared),
                            "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def close(self):
        self.holder.communicate()

    def set(self, offset):
        next_file = self.file.with_suffix(".next")
        next_file.write_text(offset + "\n")
        next_file.rename(self.file)


@pytest.fixture
def clock(tmp_path):
    clock = Clock(tmp_path)
    yield clock
    clock.close()


def test_an_authority_that_is_down_for_a_day_is_asked_again_and_again_until_it_answers(make_server, pebbles, clock):
    """A day passes for the server: it asks after 1, 10 and 100 minutes, then a day later, as nobody tells it to."""
    pebble = pebbles()
    server = start(make_server, pebble, environment=clock.environment)
    failures = lambda: server.log.read_text().count("acme: no certificate")
    minutes = 0
    for attempt, wait in enumerate((1, 10, 100), 1):
        wait_for(lambda: failures() == attempt, lambda: server.log.read_text())
        minutes += wait
        clock.set(f"+{minutes * 60 + 30}")
    wait_for(lambda: failures() == 4, lambda: server.log.read_text())
    pebble.start()
    clock.set(f"+{minutes * 60 + 86400 + 60}")
    in_force(server)
    wait_for(lambda: pebble_vouches(pebble, server), "the certificate on the socket")
    assert failures() == 4


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(make_server, pebbles, clock):
    pebble = pebbles().start()
    server = start(make_server, pebble, environment=clock.environment)
    before = in_force(server)
    clock.set(f"+{int(before['daysLeft'] * 0.66)}d")
    # Still good, and left alone: it is looked at every few seconds.
    wait_for(lambda: server.call("GET", "/ready")[1]["components"], "a look")
    assert status(server)["fingerprint"] == before["fingerprint"]
    clock.set(f"+{int(before['daysLeft'] * 0.67)}d")
    wait_for(lambda: status(server)["fingerprint"] != before["fingerprint"], lambda: server.log.read_text())


def test_proofs_that_fail_at_random_end_with_a_certificate(make_server, pebbles, clock):
    """Debian's Pebble cannot fail proofs by itself: what DNS says of the name changes at random, from a fixed seed."""
    pebble, dice = pebbles().start(), random.Random(8)
    wrong = [dice.random() < 0.5 for _ in range(12)]
    assert wrong[0] and not all(wrong)
    if wrong[0]:
        pebble.point("box.test", "127.0.0.77")
    server = start(make_server, pebble, environment=clock.environment)
    for attempt, is_wrong in enumerate(wrong[1:], 1):
        wait_for(lambda: server.log.read_text().count("acme: no certificate") == attempt, lambda: server.log.read_text())
        (pebble.point if is_wrong else pebble.unpoint)("box.test", *(["127.0.0.77"] if is_wrong else []))
        clock.set(f"+{attempt * 2}d")
        if not is_wrong:
            break
    in_force(server)


def test_a_name_that_is_added_takes_nothing_from_those_that_are_there(make_server, pebbles):
    """The order for both fails as long as DNS does not know the new one; the old name keeps its certificate until it is through."""
    pebble = pebbles().start()
    server = start(make_server, pebble)
    before = in_force(server)
    pebble.point("new.test", "127.0.0.77")
    server.options[server.options.index("--tls-names") + 1] = "box.test,new.test"
    server.restart()
    wait_for(lambda: status(server).get("problem"), "the failure")
    assert pebble_vouches(pebble, server)
    assert status(server)["fingerprint"] == before["fingerprint"] and status(server)["names"] == ["box.test"]
    # Its words stand where its owner looks.
    assert "new.test" in server.log.read_text().split("acme: no certificate")[1]
    page = subprocess.run(["curl", "-sk", server.url + "/status"], capture_output=True, text=True).stdout
    assert "new.test" in page
    # Taken out again, it is forgotten.
    server.options[server.options.index("--tls-names") + 1] = "box.test"
    server.restart()
    wait_for(lambda: status(server).get("problem") is None, "a clean page")
    pebble.unpoint("new.test")
    server.options[server.options.index("--tls-names") + 1] = "box.test,new.test"
    server.restart()
    # What failed yesterday, for other names, is not waited for.
    wait_for(lambda: len(status(server)["names"]) == 2, lambda: status(server))
    assert renew(server).returncode == 0
    assert set(status(server)["names"]) == {"box.test", "new.test"} and pebble_vouches(pebble, server)


def test_an_external_account_is_bound(make_server, pebbles, tmp_path):
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    pebble = pebbles(binding={"kid-1": key}).start()
    secret = tmp_path / "hmac"
    secret.write_text(key + "\n")
    server = start(make_server, pebble, "--acme-eab-key-id", "kid-1",
                   environment={"POSTERN_ACME_EAB_HMAC_KEY_FILE": str(secret)})
    server.secret = key
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
