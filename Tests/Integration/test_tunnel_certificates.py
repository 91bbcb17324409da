"""The wildcard certificate of the tunnel domain, by dns-01: a certificate authority that looks the proof up in a real name server."""

import json
import os
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from acme import Pebble, free_ports
from conftest import PATIENCE, make_pair, wait_for
from tunnels import DOMAIN, curl, get, services, tunnels  # noqa: F401


@pytest.fixture
def address():
    """A loopback address of the test's own: a delegation leads to port 53, whatever else is on this machine."""
    worker = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0")[2:])
    return f"127.0.53.{worker + 10}"


@pytest.fixture
def bind(tmp_path, address, children):
    """BIND, an authority for `t.test` that resolves for others, too. `delegate` says who answers for _acme-challenge."""
    def start(records):
        directory = tmp_path / "bind"
        directory.mkdir()
        port, control = free_ports(2)
        (directory / "zone").write_text(
            f"$TTL 1\n@ SOA ns hostmaster 1 60 60 600 1\n@ NS ns\nns A 127.0.0.1\n* A 127.0.0.1\n{records}\n")
        (directory / "named.conf").write_text(f"""
            options {{ directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion yes;
              allow-query {{ any; }}; dnssec-validation no; pid-file "{directory}/pid"; session-keyfile "{directory}/session";
              max-cache-ttl 1; max-ncache-ttl 1; }};
            controls {{ }};
            key "update" {{ algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"; }};
            zone "{DOMAIN}" {{ type primary; file "zone"; allow-update {{ key "update"; }}; }};""")
        children.append(subprocess.Popen(
            ["/usr/sbin/named", "-g", "-c", str(directory / "named.conf")], stdout=subprocess.DEVNULL,
            stderr=(directory / "log").open("wb")))
        def answers():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(0.2)
                client.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\1t\4test\0\0\6\0\1", ("127.0.0.1", port))
                try:
                    return client.recv(512)
                except OSError:
                    return None
        wait_for(answers, lambda: "BIND: " + (directory / "log").read_text()[-2000:])
        return port
    return start


@pytest.fixture
def pebble(tmp_path):
    http, tls = free_ports(2)
    pebble = Pebble(tmp_path / "pebble", http, tls)
    yield pebble
    pebble.close()


def start(make_server, pebble, *options):
    return make_server(
        "--tunnel-domain", DOMAIN, "--acme-directory", pebble.directory_url, "--acme-ca-file", pebble.root, "--acme-agree", "yes",
        "--public-url", "https://box.example", *options, tls=True)


def wildcard(server):
    """The certificate that a visitor of any tunnel is shown, once it is an authority's."""
    port = int(server.address.rsplit(":", 1)[1])

    def issued():
        context = ssl._create_unverified_context()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as raw:
            with context.wrap_socket(raw, server_hostname=f"any.{DOMAIN}") as tls:
                text = subprocess.run(
                    ["openssl", "x509", "-inform", "DER", "-noout", "-issuer", "-ext", "subjectAltName"],
                    input=tls.getpeercert(True), capture_output=True, check=True).stdout.decode()
        return text if "Pebble" in text else None

    return wait_for(issued, lambda: "a certificate: " + server.log.read_text()[-2000:])


def test_the_server_answers_for_the_delegated_name(make_server, pebble, bind, address, tunnels, services):
    # A name server's own name that the delegation leads to, with its address beside it.
    dns = bind(f"_acme-challenge NS responder\nresponder A {address}")
    pebble.dns = dns
    pebble.start()
    server = start(make_server, pebble, "--tunnel-acme", "responder", "--tunnel-dns", f"{address}:53")
    assert f"DNS:*.{DOMAIN}" in wildcard(server)
    # What is left behind answers for nothing else.
    for name, kind, code in (("t.test", "SOA", "REFUSED"), (f"_acme-challenge.{DOMAIN}", "TXT", "NOERROR")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
            client.sendto(b"\0\7\1\0\0\1\0\0\0\0\0\0" + labels + (b"\0\6" if kind == "SOA" else b"\0\20") + b"\0\1", (address, 53))
            answer = client.recv(1024)
        assert answer[3] & 15 == {"REFUSED": 5, "NOERROR": 0}[code] and answer[6:8] == b"\0\0", "a proof was left behind"
    # A tunnel's address works at once, and its name is ordered by nobody.
    before = pebble.log.count("added authz") + pebble.log.count("Added order")
    ana = server.user("ana")
    tunnel = tunnels(ana, "http", str(services().port), "--name", "demo").online()
    assert tunnel.wait("online")["trusted"] is True
    assert pebble.log.count("added authz") + pebble.log.count("Added order") == before
    status = server.call("GET", "/ready")
    assert status[0] == 200
    # The certificate survives a restart without another order.
    server.restart()
    assert f"DNS:*.{DOMAIN}" in wildcard(server)
    assert pebble.log.count("Added order") <= before


def test_a_hook_changes_the_owners_dns(make_server, pebble, bind, tmp_path):
    dns = bind("")
    pebble.dns = dns
    pebble.start()
    hook = tmp_path / "hook"
    hook.write_text(f"""#!/bin/sh
        echo "$1 $2" >> {tmp_path}/calls
        if [ "$1" = present ]; then change="update add $2 1 TXT $3"; else change="update delete $2 TXT $3"; fi
        printf 'server 127.0.0.1 {dns}\\nzone {DOMAIN}\\n%s\\nsend\\n' "$change" | nsupdate -y hmac-sha256:update:c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0
        """)
    hook.chmod(0o755)
    server = start(make_server, pebble, "--tunnel-acme", "hook", "--tunnel-dns-hook", str(hook))
    assert f"DNS:*.{DOMAIN}" in wildcard(server)
    wait_for(lambda: (tmp_path / "calls").read_text().splitlines()[-1] == f"remove _acme-challenge.{DOMAIN}", "the hook's second call")


def test_a_hook_that_fails_is_said_and_visitors_are_warned(make_server, pebble, bind, tmp_path):
    pebble.dns = bind("")
    pebble.start()
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\necho no such provider\nexit 3\n")
    hook.chmod(0o755)
    server = start(make_server, pebble, "--tunnel-acme", "hook", "--tunnel-dns-hook", str(hook))
    log = wait_for(lambda: "failed with status 3" in server.log.read_text() and server.log.read_text(), "the failure in the log")
    assert "no such provider" in log
    page = server.page("/status")
    assert "browsers do not trust" in page and "docs/tunnels.md" in page
