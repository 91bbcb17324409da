"""Host names of organisations' own: a real name server, a certificate authority that looks at it, and visitors."""

import json
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from acme import Pebble, free_ports
from conftest import PATIENCE, POSTERN, wait_for
from browser import CHROMIUM
from browser import Browser as Chromium
from people import PASSWORD, Browser, Person, team
from tunnels import DOMAIN, services, tunnels  # noqa: F401

ZONE = "example.test"
HOST = f"app.{ZONE}"


class Zone:
    """BIND, an authority for example.test whose records a test changes."""

    def __init__(self, directory, recursion=False, more="", files={}):
        self.directory = directory
        directory.mkdir()
        self.port, = free_ports(1)
        self.serial = 0
        (directory / "named.conf").write_text(f"""
            options {{ directory "{directory}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion {'yes' if recursion else 'no'};
              dnssec-validation no; max-cache-ttl 1; max-ncache-ttl 1; allow-query {{ any; }}; pid-file "{directory}/pid"; session-keyfile "{directory}/session"; }};
            controls {{ }};
            zone "{ZONE}" {{ type primary; file "zone"; }};
            zone "box.test" {{ type primary; file "box"; }};{more}""")
        for name, text in files.items():
            (directory / name).write_text(text)
        (directory / "box").write_text("$TTL 1\n@ SOA ns hostmaster 1 60 60 600 1\n@ NS ns\nns A 127.0.0.1\n@ A 127.0.0.1\n")
        self.write()
        self.process = subprocess.Popen(
            ["/usr/sbin/named", "-g", "-c", str(directory / "named.conf")], stdout=subprocess.DEVNULL,
            stderr=(directory / "log").open("wb"))
        wait_for(lambda: f"{ZONE}/IN: loaded serial" in self.log, lambda: self.log)

    @property
    def log(self):
        return (self.directory / "log").read_text()

    def write(self, *records):
        self.serial += 1
        (self.directory / "zone").write_text(
            f"$TTL 1\n@ SOA ns hostmaster {self.serial} 60 60 600 1\n@ NS ns\nns A 127.0.0.1\n" + "\n".join(records) + "\n")

    def set(self, *records):
        self.write(*records)
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: f"{ZONE}/IN: loaded serial {self.serial}\n" in self.log, lambda: self.log)

    def close(self):
        self.process.kill()
        self.process.wait(PATIENCE)


@pytest.fixture
def zone(tmp_path):
    zone = Zone(tmp_path / "bind")
    yield zone
    zone.close()


@pytest.fixture
def pebble(tmp_path, zone):
    http, tls = free_ports(2)
    pebble = Pebble(tmp_path / "pebble", http, tls)
    pebble.http, pebble.tls = http, tls
    pebble.dns = zone.port
    yield pebble.start()
    pebble.close()


def start(make_server, zone, pebble=None, *options):
    more = ["--acme-directory", pebble.directory_url, "--acme-ca-file", pebble.root, "--acme-agree", "yes", "--http",
            f"127.0.0.1:{pebble.http}"] if pebble else []
    return make_server(
        "--tunnel-domain", DOMAIN, "--public-url", "https://box.test", "--dns-resolver", f"127.0.0.1:{zone.port}",
        "--public-calls-per-minute", "100000", *more, *options, tls=True, **({"at": f"127.0.0.1:{pebble.tls}"} if pebble else {}))


def postern(user, *arguments):
    return subprocess.run([POSTERN, "domain", *arguments], env=user.environment, capture_output=True, text=True)


def shown(server, host):
    """The certificate that a visitor of a host is shown: its names and issuer."""
    port = int(server.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
        with ssl._create_unverified_context().wrap_socket(raw, server_hostname=host) as tls:
            return subprocess.run(
                ["openssl", "x509", "-inform", "DER", "-noout", "-issuer", "-ext", "subjectAltName"], input=tls.getpeercert(True),
                capture_output=True, check=True).stdout.decode()


def visit(server, host, path="/", **options):
    """A visitor's request; the answer's status and body."""
    port = server.address.rsplit(":", 1)[1]
    done = subprocess.run(
        ["curl", "-ksS", "--max-time", str(PATIENCE), "--resolve", f"{host}:{port}:127.0.0.1", "-w", "\n%{http_code}",
         f"https://{host}:{port}{path}"], capture_output=True, text=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


def proof(user):
    added = postern(user, "add", HOST, "--json")
    assert added.returncode == 0, added.stderr
    record = json.loads(added.stdout)["records"][0]
    assert record["type"] == "TXT" and record["name"] == f"_postern-verify.{HOST}"
    return record["value"]


def test_from_add_to_a_page_with_a_certificate_with_every_mistake_on_the_way(make_server, zone, pebble, services, tunnels):
    server = start(make_server, zone, pebble)
    ana = server.user("ana")
    tunnels(ana, "http", str(services().port), "--name", "demo").online()
    value = proof(ana)
    # The record is missing.
    done = postern(ana, "verify", HOST)
    assert done.returncode == 1 and f"There is no TXT record _postern-verify.{HOST} yet" in done.stdout and value in done.stdout
    assert f"{HOST} has no address yet; set its CNAME record to box.test" in done.stdout and "Not verified yet" in done.stdout
    # Nothing leads there before it is proved.
    done = postern(ana, "route", HOST, "demo")
    assert done.returncode == 1 and "is not verified yet" in done.stderr
    # It is wrong, the name leads elsewhere, and another authority alone may issue.
    zone.set('_postern-verify.app TXT "old value"', "app A 192.0.2.7", 'app CAA 0 issue "elsewhere.test"')
    done = postern(ana, "verify", HOST)
    assert done.returncode == 1 and "says “old value”, but must say" in done.stdout and "for 1 s more" in done.stdout
    assert f"{HOST} points to 192.0.2.7, but this server is at 127.0.0.1" in done.stdout
    assert "allow only elsewhere.test to issue certificates; add:" in done.stdout
    # All is well.
    zone.set(f'_postern-verify.app TXT "{value}"', "app A 127.0.0.1")
    done = postern(ana, "verify", HOST)
    assert done.returncode == 0 and f"{HOST} is verified; next: postern domain route {HOST} TUNNEL" in done.stdout, done.stdout + done.stderr
    # A server with a certificate of its own making answers for any name, and shows its own page.
    assert "· Postern</title>" in visit(server, HOST)[1]
    done = postern(ana, "route", HOST, "demo")
    assert done.returncode == 0 and f"{HOST} points to demo." in done.stdout, done.stderr
    wait_for(lambda: "Pebble" in shown(server, HOST), lambda: server.log.read_text()[-3000:])
    assert f"DNS:{HOST}" in shown(server, HOST)
    status, body = visit(server, HOST)
    assert status == 200 and "Postern</title>" not in body, body
    found = json.loads(postern(ana, "show", HOST, "--json").stdout)
    assert found["state"] == "routed" and found["tlsMode"] == "termination" and found["tlsStatus"] == "issued" and found["tlsNotAfter"]
    # One account for all names, and the certificate survives a restart.
    assert Path(f"{server.state}/domains/.account/account.key").exists() and not Path(f"{server.state}/domains/{HOST}/account.key").exists()
    orders = Path(pebble.directory / "pebble.log").read_text().count("Added order")
    server.restart()
    assert f"DNS:{HOST}" in shown(server, HOST)
    assert Path(pebble.directory / "pebble.log").read_text().count("Added order") == orders
    # Nowhere, and gone.
    assert postern(ana, "route", HOST, "--nowhere").returncode == 0
    assert "· Postern</title>" in visit(server, HOST)[1] and "Pebble" not in shown(server, HOST)
    assert postern(ana, "remove", HOST).returncode == 0
    assert "No domains" in postern(ana, "list").stdout


def routed(server, zone, services, tunnels):
    """A verified domain that points to the tunnel `demo`; returns the user and the tunnel."""
    ana = server.user("ana")
    tunnel = tunnels(ana, "http", str(services().port), "--name", "demo").online()
    value = proof(ana)
    zone.set(f'_postern-verify.app TXT "{value}"', "app A 127.0.0.1")
    assert postern(ana, "verify", HOST).returncode == 0
    assert postern(ana, "route", HOST, "demo").returncode == 0
    return ana, tunnel


def test_a_closed_port_and_the_authoritys_limits_are_said(make_server, zone, pebble, services, tunnels):
    """What the authority says is shown with the domain; before its limits are reached, orders wait and say until when."""
    server = start(make_server, zone, pebble)
    server.stop()
    # Port 80, as the authority sees it, is closed.
    server.options = [one if one != f"127.0.0.1:{pebble.http}" else "off" for one in server.options]
    server.start()
    ana, _ = routed(server, zone, services, tunnels)
    found = wait_for(lambda: (lambda one: one if one["tlsStatus"] == "failed" else None)(
        json.loads(postern(ana, "show", HOST, "--json").stdout)), "the authority's answer")
    assert HOST in found["tlsLastError"] and "refused" in found["tlsLastError"], found
    assert found["tlsLastError"].endswith("Open port 80 of this server to the authority, or port 443 for tls-alpn-01")
    assert "refused" in postern(ana, "show", HOST).stdout
    # A failed validation is counted, also across a restart.
    ledger = Path(f"{server.state}/domains/.account/ledger.json")
    known = json.loads(ledger.read_text())
    assert [one["name"] for one in known["failed"]] == [HOST] and [one["name"] for one in known["ordered"]] == [HOST]
    server.stop()
    now = known["ordered"][0]["at"]
    ledger.write_text(json.dumps({"failed": [], "ordered": [{"at": now, "name": f"n{n}.{ZONE}"} for n in range(40)]}))
    for one in Path(f"{server.state}/domains/{HOST}").iterdir():
        one.unlink()
    server.start()
    found = wait_for(lambda: (lambda one: one if "80 %" in (one["tlsLastError"] or "") else None)(
        json.loads(postern(ana, "show", HOST, "--json").stdout)), "the limit")
    assert f"the certificates that the authority issues for {ZONE} in a week" in found["tlsLastError"]
    assert len(json.loads(ledger.read_text())["ordered"]) == 40


def test_a_certificate_by_tls_alone(make_server, zone, pebble, services, tunnels):
    """tls-alpn-01: the authority asks on port 443, under the domain's own name."""
    server = start(make_server, zone, pebble, "--acme-challenge", "tls-alpn-01")
    routed(server, zone, services, tunnels)
    wait_for(lambda: "Pebble" in shown(server, HOST), lambda: server.log.read_text()[-3000:])
    assert visit(server, HOST)[0] == 200


def test_a_certificate_by_dns_through_a_record_of_the_domain(make_server, tmp_path, children, services, tunnels):
    """dns-01: the authority follows the domain's CNAME to the server's own name server. Port 80 is closed."""
    import os
    worker = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0")[2:])
    address = f"127.0.54.{worker + 10}"
    zone = Zone(tmp_path / "bind", recursion=True, more=f"""
        zone "{DOMAIN}" {{ type primary; file "tunnels"; }};""", files={
            "tunnels": f"$TTL 1\n@ SOA ns hostmaster 1 60 60 600 1\n@ NS ns\nns A 127.0.0.1\n* A 127.0.0.1\n"
                       f"_acme-challenge NS responder\nresponder A {address}\n"})
    http, tls = free_ports(2)
    pebble = Pebble(tmp_path / "pebble", http, tls)
    pebble.http, pebble.tls, pebble.dns = http, tls, zone.port
    pebble.start()
    try:
        server = make_server(
            "--tunnel-domain", DOMAIN, "--public-url", "https://box.test", "--dns-resolver", f"127.0.0.1:{zone.port}",
            "--public-calls-per-minute", "100000", "--acme-directory", pebble.directory_url, "--acme-ca-file", pebble.root,
            "--acme-agree", "yes", "--tunnel-acme", "responder", "--tunnel-dns", f"{address}:53", "--domain-challenge", "dns-01", tls=True)
        ana = server.user("ana")
        tunnels(ana, "http", str(services().port), "--name", "demo").online()
        added = json.loads(postern(ana, "add", HOST, "--json").stdout)
        proof, _, challenge = added["records"]
        assert challenge["type"] == "CNAME" and challenge["name"] == f"_acme-challenge.{HOST}"
        assert challenge["value"].endswith(f"._acme-challenge.{DOMAIN}")
        zone.set(f'_postern-verify.app TXT "{proof["value"]}"', "app A 127.0.0.1", f"_acme-challenge.app CNAME {challenge['value']}.")
        assert postern(ana, "verify", HOST).returncode == 0
        assert postern(ana, "route", HOST, "demo").returncode == 0
        wait_for(lambda: "Pebble" in shown(server, HOST), lambda: server.log.read_text()[-3000:])
        assert visit(server, HOST)[0] == 200
    finally:
        pebble.close()
        zone.close()


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
def test_a_newcomer_in_a_browser(make_server, zone, pebble, services, tunnels, tmp_path):
    """Every step on the pages, from the empty list to the service's own page under the new name."""
    server = start(make_server, zone, pebble)
    ana = Person(server, "ana")
    tunnels(ana.api, "http", str(services().port), "--name", "demo").online()
    port = server.address.rsplit(":", 1)[1]
    chromium = Chromium(tmp_path / "profile", f"--host-resolver-rules=MAP {HOST} 127.0.0.1")
    try:
        page = chromium.open(f"{server.url}/organisation/domains")
        text = lambda: page.value("document.body?.innerText") or ""
        fill = lambda name, value: page.value(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")
        press = lambda label: page.value(
            f"[...document.querySelectorAll('main button')].find(one => one.textContent.trim() === {json.dumps(label)}).click()")
        wait_for(lambda: "Password" in text() and page.value("document.readyState") == "complete", text)
        fill("username", "ana")
        fill("password", PASSWORD)
        page.value("document.querySelector('form').requestSubmit()")
        wait_for(lambda: "No domains yet" in text(), text)
        fill("name", f"https://{HOST}/")
        press("Add")
        wait_for(lambda: "rite the name alone" in text(), text)
        fill("name", HOST)
        press("Add")
        wait_for(lambda: "_postern-verify" in text(), text)
        value = text().split("postern-verify=")[1].split()[0]
        press("Verify now")
        wait_for(lambda: "There is no TXT record" in text() and "has no address yet" in text(), text)
        zone.set(f'_postern-verify.app TXT "postern-verify={value}"', "app A 127.0.0.1", 'app CAA 0 issue "elsewhere.test"')
        press("Verify now")
        wait_for(lambda: "allow only elsewhere.test" in text(), text)
        zone.set(f'_postern-verify.app TXT "postern-verify={value}"', "app A 127.0.0.1")
        press("Verify now")
        wait_for(lambda: "All DNS records are correct" in text(), text)
        fill("tunnel", "demo")
        press("Save")
        wait_for(lambda: "It now points to demo" in text(), text)
        wait_for(lambda: "Pebble" in shown(server, HOST), lambda: server.log.read_text()[-3000:])
        page.go(page.value("location.href"))
        wait_for(lambda: "issued" in text(), text)
        page.go(f"https://{HOST}:{port}/hello")
        wait_for(lambda: "GET /hello HTTP/1.1" in text(), text)
    finally:
        chromium.close()


def test_a_lost_name_goes_to_whoever_proves_it(make_server, zone, services, tunnels):
    """After a week without its record, and not before."""
    import sqlite3
    server = start(make_server, zone)
    ana, ben = server.user("ana"), server.user("ben")
    first, second = proof(ana), proof(ben)
    zone.set(f'_postern-verify.app TXT "{first}"', f'_postern-verify.app TXT "{second}"')
    assert postern(ana, "verify", HOST).returncode == 0
    for days, status in ((6, 1), (8, 0)):
        server.stop()
        with sqlite3.connect(f"{server.state}/postern.db") as database:
            database.execute("UPDATE domains SET missing_since = checked_at - ? WHERE verified_at IS NOT NULL", (days * 86_400_000,))
        server.start()
        assert postern(ben, "verify", HOST).returncode == status, days
    found = json.loads(postern(ana, "show", HOST, "--json").stdout)
    assert found["state"] == "unverified" and "Another organisation" in found["tlsLastError"]


def test_visitors_who_are_shown_another_certificate_are_noticed(make_server, zone, pebble, services, tunnels, tmp_path):
    """Something in between that ends TLS: the check of a domain compares what a visitor sees."""
    server = start(make_server, zone, pebble)
    server.stop()
    other, = free_ports(1)
    server.options[server.options.index("https://box.test")] = f"https://box.test:{other}"
    server.start()
    ana, _ = routed(server, zone, services, tunnels)
    wait_for(lambda: "Pebble" in shown(server, HOST), lambda: server.log.read_text()[-3000:])
    assert "another certificate" not in postern(ana, "verify", HOST).stdout
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k.pem",
         "-out", tmp_path / "c.pem", "-subj", f"/CN={HOST}", "-days", "2"], check=True, capture_output=True)
    proxy = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{other}", "-key", tmp_path / "k.pem", "-cert", tmp_path / "c.pem", "-www"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = wait_for(lambda: (lambda done: done if "another certificate" in done.stdout else None)(postern(ana, "verify", HOST)), "the probe")
        assert f"Visitors of {HOST} at 127.0.0.1 are shown another certificate (sha256:" in found.stdout
    finally:
        proxy.kill()
        proxy.wait(PATIENCE)


def test_waiting_for_the_records(make_server, zone):
    server = start(make_server, zone)
    ana = server.user("ana")
    value = proof(ana)
    waiting = subprocess.Popen([POSTERN, "domain", "verify", HOST, "--wait"], env=ana.environment, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert "There is no TXT record" in waiting.stderr.readline()
    zone.set(f'_postern-verify.app TXT "{value}"', "app A 127.0.0.1")
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0 and f"{HOST} is verified" in out


def test_a_policy_of_a_domain_is_for_its_name_alone(make_server, zone, services, tunnels):
    server = start(make_server, zone)
    ben = server.user("ben")
    proof(ben)
    ana, tunnel = routed(server, zone, services, tunnels)
    done = subprocess.run([POSTERN, "access", "set", HOST, "--basic-auth", "guest:correct-horse"], env=ana.environment, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert visit(server, HOST)[0] == 401 and visit(server, tunnel.host)[0] == 200
    # A connection whose certificate is for other names is not used for this one.
    port = int(server.address.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        with ssl._create_unverified_context().wrap_socket(plain, server_hostname=tunnel.host) as tls:
            tls.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            assert tls.recv(100).startswith(b"HTTP/1.1 421")
    # Another organisation has added the name too, and its policy is for nobody.
    assert ben.call("PUT", f"/domains/{HOST}/policy", {"rate": {"perMinute": 1000}})[0] == 200
    assert visit(server, HOST)[0] == 401
    # A name that is removed and added again begins without the old rules.
    assert postern(ana, "remove", HOST).returncode == 0
    value = proof(ana)
    zone.set(f'_postern-verify.app TXT "{value}"', "app A 127.0.0.1")
    assert postern(ana, "verify", HOST).returncode == 0 and postern(ana, "route", HOST, "demo").returncode == 0
    assert visit(server, HOST)[0] == 200


def test_a_tls_tunnel_is_passed_through(make_server, zone, services, tunnels, tmp_path):
    server = start(make_server, zone)
    ana = server.user("ana")
    value = proof(ana)
    zone.set(f'_postern-verify.app TXT "{value}"', "app A 127.0.0.1")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k.pem",
         "-out", tmp_path / "c.pem", "-subj", "/CN=the machine's own", "-days", "2"], check=True, capture_output=True)
    port, = free_ports(1)
    machine = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key", tmp_path / "k.pem", "-cert", tmp_path / "c.pem", "-www"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        tunnels(ana, "tls", str(port), "--name", "vault").online()
        assert postern(ana, "verify", HOST).returncode == 0
        done = postern(ana, "route", HOST, "vault", "--tls", "termination")
        assert done.returncode == 1 and "whose TLS is terminated at the machine" in done.stderr
        assert postern(ana, "route", HOST, "vault").returncode == 0
        assert "the machine's own" in shown(server, HOST)
        assert visit(server, HOST)[0] == 200
    finally:
        machine.kill()
        machine.wait(PATIENCE)


def test_a_name_belongs_to_whoever_has_proved_it(make_server, zone, services, tunnels):
    server = start(make_server, zone)
    ana, ben = server.user("ana"), server.user("ben")
    first, second = proof(ana), proof(ben)
    assert first != second
    # Both have added it; the record says whose it is.
    zone.set(f'_postern-verify.app TXT "{second}"')
    assert postern(ana, "verify", HOST).returncode == 1 and postern(ben, "verify", HOST).returncode == 0
    zone.set(f'_postern-verify.app TXT "{second}"', f'_postern-verify.app TXT "{first}"')
    done = postern(ana, "verify", HOST)
    assert done.returncode == 1 and "belongs to another organisation" in done.stderr
    # Given up, it stays reserved.
    assert postern(ben, "remove", HOST).returncode == 0
    assert "belongs to another organisation" in postern(ana, "verify", HOST).stderr
    assert postern(server.user("carla"), "add", HOST).returncode == 1
    assert json.loads(postern(ben, "add", HOST, "--json").stdout)["state"] == "unverified"


@pytest.mark.parametrize("name,why", [
    ("https://app.example.test", "write the name alone"), ("*.example.test", "a wildcard cannot be added"), ("app", "is not a host name"),
    ("192.0.2.7", "is not a host name"), ("a..b", "is not a host name"), (f"x.{DOMAIN}", "belongs to this server"), ("box.test", "belongs to this server"),
    ("x.box.test", "belongs to this server")])
def test_what_is_no_name_is_refused_with_the_reason(make_server, zone, name, why):
    server = start(make_server, zone)
    done = postern(server.user("ana"), "add", name)
    assert done.returncode == 1 and why in done.stderr, done.stderr


def test_plans_and_roles_say_who_has_domains(make_server, zone):
    server = start(make_server, zone)
    free = server.user("free", "--plan", "free")
    status, refusal = free.call("POST", "/domains", {"name": HOST})
    assert status == 403 and refusal["code"] == "domain_limit_reached" and refusal["limit"] == 0 and refusal["plan"] == "free"
    ana, ben = Person(server, "ana"), Person(server, "ben")
    organisation = team(ana, [(ben, "member")])
    token = lambda person: person.call("POST", f"/organisations/{organisation}/switch")[1]["accessToken"]
    assert server.call("POST", "/domains", {"name": HOST}, token(ana))[0] == 201
    assert server.call("POST", "/domains", {"name": "b.example.test"}, token(ben))[0] == 403
    assert [one["name"] for one in server.call("GET", "/domains", token=token(ben))[1]] == [HOST]
    # Another organisation knows nothing of it.
    assert server.call("GET", f"/domains/{HOST}", token=server.user("carla").token)[0] == 404
    root = server.user("root", "--admin")
    assert [(one["name"], one["organisation"]) for one in root.call("GET", "/v1/admin/domains")[1]] == [(HOST, "team")]
    assert server.call("GET", "/v1/admin/domains", token=token(ana))[0] == 403


def test_a_name_server_that_is_silent_is_not_the_domains_fault(make_server, zone):
    server = start(make_server, zone)
    ana = server.user("ana")
    proof(ana)
    zone.close()
    done = postern(ana, "verify", HOST)
    assert done.returncode == 1 and "does not respond" in done.stderr and "try again in a minute" in done.stderr


def test_the_pages_lead_from_a_name_to_a_tunnel(make_server, zone, services, tunnels):
    server = start(make_server, zone)
    ana = Person(server, "ana")
    tunnels(ana.api, "http", str(services().port), "--name", "demo").online()
    browser = Browser(server)
    browser.sign_in(ana)
    assert "No domains yet" in browser.get("/organisation/domains").text
    answer = browser.post("/organisation/domains", name="https://app.example.test")
    assert answer.status == 400 and "rite the name alone" in answer.text and 'value="https://app.example.test"' in answer.text
    page = browser.post("/organisation/domains", name=HOST).location
    shown = browser.get(page).text
    value = shown.split("postern-verify=")[1].split("<")[0]
    assert "First verify the name" in shown and "box.test" in shown
    answer = browser.post(page + "/verify", page)
    assert answer.status == 200 and "There is no TXT record" in answer.text and "has no address yet" in answer.text
    zone.set(f'_postern-verify.app TXT "postern-verify={value}"', "app A 127.0.0.1")
    assert browser.post(page + "/verify", page).status == 303
    assert "All DNS records are correct" in browser.get(page).text
    assert browser.post(page + "/route", page, tunnel="demo").status == 303
    assert "demo (termination)" in browser.get(page).text and "routed" in browser.get("/organisation/domains").text
    assert visit(server, HOST)[0] == 200
    assert browser.post(page + "/remove", page).status == 303 and browser.get(page).status == 404
