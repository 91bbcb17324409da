"""Enrolled machines for real: `postern machine …`, `postern agent`, the API, and keys that are not good."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PATIENCE, POSTERN, Server, make_pair, wait_for
from machines import enrolled, events, found, invite, machines  # noqa: F401
from people import Browser, Person
from tunnels import DOMAIN, connect, curl, edge, get, hello, services, tunnels  # noqa: F401


@pytest.fixture
def ana(edge):
    return edge.user("ana")


def web(service, **more):
    lines = [f"  web:\n    http: {service.port}"] + [f"    {key.replace('_', '-')}: {value}" for key, value in more.items()]
    return "tunnels:\n" + "\n".join(lines) + "\n"


# Enrolling


def test_a_code_enrols_a_machine_whose_tunnels_come_back(edge, ana, machines, services):
    box = enrolled(edge, ana, machines())
    assert box.resource["name"] == socket.gethostname() and box.resource["state"] == "offline"
    assert os.stat(box.state / "machine.pem").st_mode & 0o77 == 0
    service = services()
    box.start(web(service, name="demo"))
    host = box.online("web")
    assert host == f"demo.{DOMAIN}" and get(edge, host)[0] == 200
    seen = found(ana, box)
    assert seen["state"] == "online" and seen["owner"] == "ana" and seen["address"] == "127.0.0.1"
    report = seen["report"]
    assert report["processors"] == os.cpu_count() and report["memoryTotal"] > report["memoryAvailable"] > 0 and report["diskFree"] > 0
    # A reboot: the agent is killed and starts again.
    box.stop("kill")
    wait_for(lambda: found(ana, box)["state"] == "offline", "an offline machine")
    box.start()
    assert box.online("web") == host and get(edge, host)[0] == 200
    # The server restarts.
    edge.restart()
    wait_for(lambda: found(ana, box)["state"] == "online", "a machine that came back")
    assert box.online("web") == host and get(edge, host)[0] == 200
    assert [one["action"] for one in events(ana, "machine")][::-1][:3] == ["machine.invited", "machine.enrolled", "machine.connected"]


def test_an_address_that_nobody_chose_stays_the_machines(edge, ana, machines, services):
    service = services()
    box = enrolled(edge, ana, machines()).start(web(service))
    host = box.online("web")
    box.stop()
    other = enrolled(edge, ana, machines("other"), "--name", "other").start(web(service))
    assert other.online("web") != host
    box.start()
    assert box.online("web") == host


def test_a_token_enrols_as_well_and_one_of_too_little_scope_does_not(edge, ana, machines):
    environment = {**ana.environment, "HOME": "/nonexistent"}
    box = machines("mine", environment)
    assert box.run("machine", "enroll", "--json").returncode == 0
    ben = Person(edge, "ben")
    status, made = ben.call("POST", "/tokens", {"name": "weak", "scopes": ["tunnel:create"]})
    assert status == 201, made
    weak = machines("weak", {**environment, "POSTERN_TOKEN": made["token"]})
    answer = weak.run("machine", "enroll")
    assert answer.returncode == 1 and "This token was created without machine:enroll" in answer.stderr, answer
    refused = ben.call("GET", f"/organisations/{ben.id}/audit?action=machine.enrolled")[1]
    assert refused[0]["result"] == "refused"


def test_a_stolen_code_is_good_once_and_says_who_was_faster(edge, ana, machines):
    code = invite(ana)
    thief = machines("thief")
    assert thief.enroll(edge, "--name", "thief", code=code).returncode == 0
    late = machines().enroll(edge, code=code)
    assert late.returncode == 1 and "was used at" in late.stderr and "by thief" in late.stderr and "revoke" in late.stderr, late
    assert events(ana, "machine.enrolled")[0]["result"] == "refused"
    wrong = machines("wrong").enroll(edge, code="aaaaaaaa-bbbbbbbb")
    assert wrong.returncode == 1 and "There is no such code" in wrong.stderr


# Keys that are not good


def link(server, certificate=None, key=None, token=None, alpn="postern-link/1"):
    """Opens a link by hand: what the server says, as (frame type, JSON)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if certificate:
        context.load_cert_chain(certificate, key)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE), server_hostname="x") as peer:
        greeting = json.dumps({
            "versions": [1], "software": "by hand", "token": token, "instance": os.urandom(11).hex(), "credit": 65536,
            "capabilities": []}).encode()
        peer.sendall(bytes([1, 0, 0, 0]) + (0).to_bytes(4, "big") + len(greeting).to_bytes(4, "big") + greeting)
        data = b""
        while len(data) < 12 or len(data) < 12 + int.from_bytes(data[8:12], "big"):
            part = peer.recv(65536)
            assert part, f"no answer: {data}"
            data += part
        return data[0], json.loads(data[12:12 + int.from_bytes(data[8:12], "big")])


def self_made(directory, name, days="365", start=None):
    """A key of somebody's own, in a certificate as openssl makes it."""
    files = str(directory / f"{name}.pem"), str(directory / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
         "-days", days, "-out", files[0], "-keyout", files[1], *(start or [])], check=True, capture_output=True)
    return files


def test_keys_that_are_not_good_get_a_sentence_and_an_event(edge, ana, machines, tmp_path):
    goaway = 10
    kind, answer = link(edge, *self_made(tmp_path, "unknown"))
    assert answer["code"] == "unauthorized" and "not enrolled here" in answer["message"], (kind, answer)
    administrator = edge.user("root", "--admin")
    refused = [one for one in administrator.call("GET", "/admin/audit?action=machine.connected")[1] if one["result"] == "refused"]
    assert len(refused) == 1 and refused[0]["address"] == "127.0.0.1"
    # A certificate that ended long ago is as good as any: the key counts.
    box = enrolled(edge, ana, machines())
    pem = (box.state / "machine.pem").read_text()
    old = tmp_path / "old.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-key", str(box.state / "machine.pem"), "-subj", "/CN=old", "-days", "1", "-out", str(old)],
        check=True, capture_output=True)
    kind, answer = link(edge, str(old), str(box.state / "machine.pem"))
    assert "link" in answer, answer
    # Somebody else's certificate without the key cannot be shown at all: TLS asks for a signature.
    stranger = self_made(tmp_path, "stranger")
    with pytest.raises(ssl.SSLError):
        link(edge, str(box.state / "machine.pem"), stranger[1])
    # Another organisation cannot have the key, revoked or not.
    ben = edge.user("ben")
    code = invite(ben)
    taken = box.enroll(edge, code=code)
    assert taken.returncode == 1 and "another organisation" in taken.stderr, taken.stderr
    assert events(ben, "machine.enrolled")[0]["result"] == "refused"
    assert ana.call("DELETE", f"/machines/{box.resource['id']}")[0] == 204
    kind, answer = link(edge, str(old), str(box.state / "machine.pem"))
    assert answer["code"] == "unauthorized" and "was revoked at" in answer["message"], answer
    assert events(ana, "machine.connected")[0]["result"] == "refused"
    assert "BEGIN PRIVATE KEY" in pem and goaway


def test_no_browser_is_ever_asked_for_a_certificate(edge, ana, machines):
    """The same port, seen by curl and `openssl s_client` with what browsers offer."""
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-alpn", "h2,http/1.1", "-servername", "localhost"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert "No client certificate CA names sent" in shown.stdout and "Client Certificate Types" not in shown.stdout
    verbose = subprocess.run(
        ["curl", "--silent", "--verbose", "--insecure", "--trace-ascii", "-", f"{edge.url}/health"], capture_output=True, text=True)
    assert "Request CERT" not in verbose.stdout and verbose.returncode == 0
    asked = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-alpn", "postern-link/1", "-trace"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert "CertificateRequest" in asked.stdout
    plain = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-alpn", "http/1.1", "-trace"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert "CertificateRequest" not in plain.stdout


def test_a_ticket_of_the_pages_opens_no_link(edge, tmp_path):
    """An HTTP session's ticket with the link's ALPN: a full handshake, or none; never one without a certificate's question."""
    ticket = str(tmp_path / "ticket")
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-alpn", "http/1.1", "-sess_out", ticket],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        first.stdin.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first.stdin.flush()
        wait_for(lambda: os.path.exists(ticket) and os.path.getsize(ticket) > 0, "a session ticket")
        first.stdin.close()
        first.kill()
    again = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-alpn", "http/1.1", "-sess_in", ticket],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert "Reused, TLSv1.3" in again.stdout
    tried = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{edge.port}", "-alpn", "postern-link/1", "-sess_in", ticket, "-trace"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert "Reused" not in tried.stdout and ("CertificateRequest" in tried.stdout or "alert" in tried.stderr.lower())


# Revoking


def test_revoking_ends_a_download_within_a_second_with_a_reason(edge, ana, machines, services):
    def endless(service, connection):
        service.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)
    box = enrolled(edge, ana, machines()).start(web(services(endless)))
    host = box.online("web")
    with connect(edge, host) as visitor:
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert visitor.recv(65536)
        assert subprocess.run(
            [POSTERN, "machine", "revoke", box.resource["name"]], env=ana.environment, capture_output=True).returncode == 0
        begun = time.monotonic()
        with pytest.raises((ssl.SSLError, OSError)):
            while visitor.recv(65536):
                pass
        assert time.monotonic() - begun < 5
    wait_for(lambda: "was revoked by ana" in (box.status().get("reason") or ""), "the reason at the agent")
    assert found_status(ana, box) == 404


def found_status(user, machine):
    return user.call("GET", f"/machines/{machine.resource['id']}")[0]


def test_disabling_whoever_enrolled_it_cuts_the_machine(edge, ana, machines, services):
    box = enrolled(edge, ana, machines()).start(web(services()))
    box.online("web")
    done = subprocess.run([POSTERN, "user", "disable", "ana", "--state", edge.state], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: box.status().get("isOnline") is False, "a cut link")
    assert "is no longer allowed to connect" in box.status()["reason"] or "disabled" in box.status()["reason"]


# Two machines with one key


def test_two_machines_from_one_disk_image_are_held_and_the_owner_is_told(edge, ana, machines, services, tmp_path):
    box = enrolled(edge, ana, machines())
    twin = machines("twin")
    shutil.copytree(box.state, twin.state)
    box.start(web(services(), name="demo"))
    twin.begin(web(services(), name="demo"))
    wait_for(lambda: found(ana, box)["problem"], "a machine that is held back")
    assert "two machines" in found(ana, box)["problem"]
    assert len(events(ana, "machine.duplicated")) == 1
    wait_for(lambda: all("two machines" in (one.status().get("reason") or "") for one in (box, twin)), "both are told")
    # The remedy that both were told.
    again = twin.enroll(edge, "--new-key", "--name", "twin", code=invite(ana))
    assert again.returncode == 0, again.stderr
    twin.stop()
    twin.start(web(services(), name="other"))
    assert twin.online("web") == f"other.{DOMAIN}"


# Plans


def test_the_plans_machines_and_every_field_of_the_refusal(edge, ana, machines, services):
    subprocess.run([POSTERN, "user", "set-plan", "ana", "free", "--state", edge.state], check=True, capture_output=True)
    box = enrolled(edge, ana, machines())
    second = enrolled(edge, ana, machines("second"), "--name", "second")
    box.start(web(services()))
    box.online("web")
    second.begin()
    wait_for(lambda: second.status().get("reason", "") == "Host limit reached (1/1). Upgrade your plan for more hosts.",
             lambda: f"a refusal; second is {second.status()}, says {second.text()}; box is {box.status()}, says {box.text()}")
    third = machines("third").enroll(edge, code=invite(ana))
    assert third.returncode == 1 and "Host limit reached (1/1). Upgrade your plan for more hosts." in third.stderr
    status, refusal = ana.call("POST", "/machines", {
        "certificate": Path(self_made(second.directory, "third")[0]).read_text(), "hostName": "x", "allows": ["tunnels"],
        "software": "s", "platform": "p"})
    assert status == 403 and refusal == {
        "statusCode": 403, "code": "host_limit_reached", "limit": 1, "current": 1, "plan": "free",
        "message": "Host limit reached (1/1). Upgrade your plan for more hosts.", "requestId": refusal["requestId"],
        "upgradeUrl": "/organisation/plan"}
    # When the first one stops, the place is free at once.
    assert box.stop() == 0
    second.stop()
    second.start()
    box.begin()
    wait_for(lambda: box.status().get("reason", "").startswith("Host limit reached"), "the first one in its turn")


# agent.yml


def test_the_settings_change_without_dropping_streams(edge, ana, machines, services):
    def slowly(service, connection):
        service.head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        service.requests.append("waiting")
        while not service.requests.count("go on"):
            time.sleep(0.01)
        connection.sendall(b"def")
    slow, quick, new = services(slowly), services(), services()
    both = f"tunnels:\n  slow:\n    http: {slow.port}\n  web:\n    http: {quick.port}\n    name: demo\n"
    box = enrolled(edge, ana, machines()).start(both)
    host = box.online("slow")
    demo = box.online("web")
    # The server keeps a connection to the service. It must not be used after the change.
    assert get(edge, demo)[0] == 200 and quick.requests
    with connect(edge, host) as visitor:
        visitor.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        wait_for(lambda: "waiting" in slow.requests, "a request under way")
        changed = both.replace(f"{quick.port}\n", f"{new.port}\n") + "    basic-auth: guest:correct-horse\n  more:\n    http: 1\n"
        box.settings.write_text(changed)
        told = box.run("tunnels", "diff")
        assert told.returncode == 0 and "~ web" in told.stdout and "+ more" in told.stdout and "slow" not in told.stdout, told
        assert "correct-horse" not in told.stdout
        box.agent.send_signal(signal.SIGHUP)
        wait_for(lambda: get(edge, demo)[0] == 401, "a password")
        status, _, body = get(edge, demo, headers={"Authorization": "Basic Z3Vlc3Q6Y29ycmVjdC1ob3JzZQ=="})
        assert status == 200 and new.requests and box.online("more")
        slow.requests.append("go on")
        received = b""
        while not received.endswith(b"abcdef"):
            part = visitor.recv(4096)
            assert part, received
            received += part
    # What the file says no more is given up by apply, and by nothing else.
    box.settings.write_text(f"tunnels:\n  web:\n    http: {new.port}\n    name: demo\n")
    assert "- slow" in box.run("tunnels", "diff").stdout
    applied = box.run("tunnels", "apply", "--json")
    assert applied.returncode == 0, applied
    assert [one["label"] for one in json.loads(applied.stdout)["tunnels"]] == ["web"]
    assert [one["name"] for one in ana.call("GET", "/tunnels")[1]] == ["demo"]
    assert "Nothing would change" in box.run("tunnels", "diff").stdout
    assert get(edge, demo)[0] == 200


def test_mistakes_in_the_settings_are_named_with_their_lines(edge, ana, machines, services):
    box = enrolled(edge, ana, machines())
    box.settings.write_text("tunnels:\n  web:\n    htp: 3000\n  ssh:\n    tcp: nowhere\n    name: x\n  a b:\n    http: 1\n")
    answer = box.run("agent", "--settings", str(box.settings), "--check")
    assert answer.returncode == 2
    for part in ("line 3: web: unknown key 'htp'; did you mean 'http'?", "line 5: ssh: 'nowhere' is not a port",
                 "line 6: ssh: 'name' goes with directory and http and tls, not with tcp", "line 7: a b: a label must be"):
        assert part in answer.stderr, answer.stderr
    service = services()
    box.start(web(service))
    box.online("web")
    box.settings.write_text("tunnels: [")
    box.agent.send_signal(signal.SIGHUP)
    wait_for(lambda: "reload failed; the previous settings stay in use" in box.text(), "a line in the log")
    assert box.tunnel("web")["state"] == "online"
    assert box.run("tunnels", "apply").returncode == 1


def test_files_ports_and_tls_are_declared_as_well(edge, ana, machines, services, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("hello\n")

    def echo(service, connection):
        while data := connection.recv(4096):
            connection.sendall(data)
    service = services(echo)
    box = enrolled(edge, ana, machines()).start(
        f"tunnels:\n  site:\n    directory: {site}\n  port:\n    tcp: {service.port}\n  vault:\n    tls: {service.port}\n")
    assert get(edge, box.online("site"))[2] == b"hello\n"
    box.online("port")
    port = int(box.tunnel("port")["url"].rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as visitor:
        visitor.sendall(b"ping")
        assert visitor.recv(4) == b"ping"
    assert box.online("vault")


# The key


def test_a_new_key_takes_over_and_the_old_one_is_good_for_nothing(edge, ana, machines, services, tmp_path):
    box = enrolled(edge, ana, machines()).start(web(services()))
    host = box.online("web")
    shutil.copy(box.state / "machine.pem", tmp_path / "old.pem")
    before = found(ana, box)["fingerprint"]
    answer = box.run("machine", "rekey")
    assert answer.returncode == 0, answer
    wait_for(lambda: found(ana, box)["fingerprint"] != before, "another key")
    assert box.online("web") == host
    wait_for(lambda: get(edge, host)[0] == 200, "the tunnel by the new key")
    assert "not enrolled here" in link(edge, str(tmp_path / "old.pem"), str(tmp_path / "old.pem"))[1]["message"]
    assert events(ana, "machine.rekeyed")
    box.stop()
    box.start()
    assert box.online("web") == host


# The appliance


def test_an_appliance_from_its_backup_and_another_certificate_are_the_same_to_a_machine(
        edge, ana, machines, services, tmp_path):
    box = enrolled(edge, ana, machines()).start(web(services()))
    host = box.online("web")
    archive, words = tmp_path / "backup.sealed", tmp_path / "words"
    words.write_text("correct horse battery staple\n")
    sealed = ["--passphrase-file", str(words)]
    made = subprocess.run(
        [POSTERN, "backup", str(archive), "--with-keys", *sealed, "--state", edge.state], capture_output=True, text=True, env=edge.settings)
    assert made.returncode == 0, made.stderr
    edge.stop()
    shutil.rmtree(edge.state)
    restored = subprocess.run(
        [POSTERN, "restore", str(archive), *sealed, "--state", edge.state], capture_output=True, text=True, env=edge.settings)
    assert restored.returncode == 0, restored.stderr
    before = edge.fingerprint
    # A public certificate that was renewed meanwhile.
    (Path(edge.state) / "self-signed.pem").unlink()
    edge.start()
    wait_for(lambda: found(ana, box)["state"] == "online", "a machine that came back")
    assert box.online("web") == host and get(edge, host)[0] == 200
    assert edge.fingerprint != before


def test_no_date_matters_to_a_link(edge, ana, machines, services, tmp_path):
    """A machine whose clock is years off sees the appliance's certificate ended, or not begun; it knows the key."""
    box = enrolled(edge, ana, machines())
    identity = Path(edge.state) / "link-identity.pem"
    edge.stop()
    old = subprocess.run(
        ["faketime", "1999-01-01", "openssl", "req", "-x509", "-key", str(identity), "-subj", "/CN=postern-link", "-days", "1"],
        check=True, capture_output=True, text=True).stdout
    key = identity.read_text()
    identity.write_text(key[:key.index("-----BEGIN CERTIFICATE")] + old)
    edge.start()
    box.start(web(services()))
    assert get(edge, box.online("web"))[0] == 200


def test_another_key_of_the_appliance_is_announced_and_then_taken(edge, ana, machines, services):
    box = enrolled(edge, ana, machines()).start(web(services()))
    away = enrolled(edge, ana, machines("away"), "--name", "away")
    host = box.online("web")
    kept = lambda machine: json.loads((machine.state / "machine.json").read_text())
    first = kept(box)["linkKey"]
    rotate = [POSTERN, "keys", "rotate-link", "--state", edge.state]
    said = subprocess.run(rotate, check=True, capture_output=True, text=True).stdout
    following = said.split("The next key is ")[1].split(". ")[0]
    again = subprocess.run(rotate, capture_output=True, text=True)
    assert again.returncode == 1 and "already announced" in again.stderr, again
    edge.restart()
    wait_for(lambda: kept(box).get("nextLinkKey") == following, lambda: box.text())
    assert kept(box)["linkKey"] == first and get(edge, box.online("web"))[0] == 200
    # 90 days later: the certificate's own date says when it was announced.
    announced = Path(edge.state) / "link-identity-next.pem"
    edge.stop()
    old = subprocess.run(
        ["faketime", "-91 days", "openssl", "req", "-x509", "-key", str(announced), "-subj", "/CN=postern-link", "-days", "3650"],
        check=True, capture_output=True, text=True).stdout
    key = announced.read_text()
    announced.write_text(key[:key.index("-----BEGIN CERTIFICATE")] + old)
    edge.start()
    wait_for(lambda: kept(box)["linkKey"] == following, lambda: box.text())
    assert "nextLinkKey" not in kept(box) and not announced.exists()
    wait_for(lambda: found(ana, box)["state"] == "online", lambda: box.text())
    assert box.online("web") == host and get(edge, host)[0] == 200
    box.stop()
    box.start()
    # A machine that was off all the time knows neither, and does not connect.
    away.begin(web(services()))
    wait_for(lambda: "not the pinned" in away.text() or "key" in away.status().get("reason", ""), lambda: away.text())
    assert not away.status().get("isOnline")


# Looking


def test_list_show_rename_and_status(edge, ana, machines, services):
    def run(*arguments):
        return subprocess.run([POSTERN, "machine", *arguments], env=ana.environment, capture_output=True, text=True)
    assert "No machines. 'postern machine invite' adds one." in run("list").stdout
    invited = run("invite")
    assert "sudo postern machine enroll" in invited.stdout and edge.fingerprint in invited.stdout
    box = enrolled(edge, ana, machines(), "--name", "box").start(web(services()))
    box.online("web")
    wait_for(lambda: (found(ana, box)["report"] or {}).get("tunnels") == 1, "a report")
    listed = run("list").stdout.splitlines()
    assert listed[0].startswith("NAME") and listed[1].startswith("box") and "online" in listed[1]
    assert json.loads(run("list", "--json").stdout)["name"] == "box"
    renamed = run("rename", "box", "attic")
    assert renamed.returncode == 0, renamed.stderr
    shown = run("show", "attic").stdout
    assert "State       online since" in shown and "Tunnels     1 online" in shown
    status = box.run("machine", "status")
    assert status.returncode == 0 and "online since" in status.stdout and "by TLS" in status.stdout and "web" in status.stdout
    other = run("show", "nobody")
    assert other.returncode == 1 and "There is no machine nobody" in other.stderr
    box.stop()
    stopped = box.run("machine", "status")
    assert stopped.returncode == 75 and "its agent is not running" in stopped.stderr
    fresh = machines("fresh").run("machine", "status")
    assert fresh.returncode == 1 and "not enrolled" in fresh.stderr


def test_others_see_what_their_role_shows(edge, ana, machines):
    box = enrolled(edge, ana, machines())
    ben = edge.user("ben")
    assert ben.call("GET", "/machines")[1] == []
    for method in ("GET", "DELETE"):
        assert ben.call(method, f"/machines/{box.resource['id']}")[0] == 404
    assert ben.call("PATCH", f"/machines/{box.resource['id']}", {"name": "mine"})[0] == 404
    assert edge.call("GET", "/machines")[0] == 401
    assert ana.call("PATCH", f"/machines/{box.resource['id']}", {"name": "a\nb"})[0] == 400


def test_doctor_looks_at_the_way_out_and_at_what_is_served(edge, ana, machines, services):
    def examine(*options):
        answer = box.run("doctor", "--json", "--agent-state", str(box.state), "--agent-settings", str(box.settings), *options, state=False)
        found = [json.loads(line) for line in answer.stdout.splitlines()]
        return answer.returncode, {one["check"]: one for one in found if not one["text"].endswith("(not needed)")}

    box = enrolled(edge, ana, machines())
    service = services()
    settings = f"tunnels:\n  web:\n    http: {service.port}\n  gone:\n    tcp: 1\n  site:\n    directory: {box.directory}\n"
    box.start(settings)
    box.online("web")
    status, found = examine("--state", str(box.directory / "no-server"))
    assert status == 1 and [name for name, one in found.items() if not one["ok"]] == ["tunnel gone"], found
    assert "connection refused" in found["tunnel gone"]["text"]
    assert {"machine", "name", "server", "clock", "link", "agent", "settings", "tunnel web", "tunnel site"} <= set(found)
    box.settings.write_text(settings.replace("  gone:\n    tcp: 1\n", ""))
    status, found = examine("--state", str(box.directory / "no-server"))
    assert status == 0 and "within" in found["clock"]["text"], found
    edge.stop()
    status, found = examine("--state", str(box.directory / "no-server"))
    assert status == 1 and not found["server"]["ok"] and not found["link"]["ok"], found


def test_what_cannot_be_served_yet_is_served_when_it_is_there(edge, ana, machines, services, tmp_path):
    """A disk that is mounted late; and a mistake that takes no other tunnel off line."""
    late = tmp_path / "late"
    box = enrolled(edge, ana, machines())
    box.start(f"tunnels:\n  late:\n    directory: {late}\n  web:\n    http: {services().port}\n  wrong:\n    tcp: nowhere\n")
    host = box.online("web")
    assert get(edge, host)[0] == 200
    status = box.status()
    assert [one["state"] for one in status["tunnels"]] == ["failed", "online"] and "no such file" in status["tunnels"][0]["problem"]
    assert any("wrong: 'nowhere' is not a port" in one for one in status["problems"])
    # Not after a link that came back, either.
    edge.restart()
    wait_for(lambda: box.status().get("isOnline"), "the link")
    assert box.tunnel("late")["state"] == "failed"
    late.mkdir()
    (late / "index.html").write_text("late\n")
    box.settings.write_text(f"tunnels:\n  late:\n    directory: {late}\n  web:\n    http: 1\n")
    assert box.run("tunnels", "apply").returncode == 0
    assert get(edge, box.online("late"))[2] == b"late\n"


def test_names_move_between_labels_and_change_at_the_plans_limit(edge, ana, machines, services):
    subprocess.run([POSTERN, "user", "set-plan", "ana", "free", "--state", edge.state], check=True, capture_output=True)
    port = services().port

    def settings(**names):
        return "tunnels:\n" + "".join(f"  {label}:\n    http: {port}\n    name: {name}\n" for label, name in names.items())
    box = enrolled(edge, ana, machines()).start(settings(one="aaa", two="bbb", three="ccc"))
    for label in ("one", "two", "three"):
        box.online(label)

    def apply(text):
        box.settings.write_text(text)
        shown = box.run("tunnels", "diff").stdout
        applied = box.run("tunnels", "apply")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        assert "Nothing would change" in box.run("tunnels", "diff").stdout
        return shown
    # A label that is called otherwise keeps its address.
    assert "- one" in apply(settings(uno="aaa", two="bbb", three="ccc"))
    assert get(edge, f"aaa.{DOMAIN}")[0] == 200
    # Another name at the limit of three, and then three others.
    apply(settings(uno="ddd", two="bbb", three="ccc"))
    assert get(edge, f"ddd.{DOMAIN}")[0] == 200 and get(edge, f"aaa.{DOMAIN}")[0] == 404
    apply(settings(x="eee", y="fff", z="ggg"))
    assert sorted(one["name"] for one in ana.call("GET", "/tunnels")[1]) == ["eee", "fff", "ggg"]
    # Without a link nothing is pretended.
    edge.stop()
    wait_for(lambda: not box.status().get("isOnline", True), "no link")
    box.settings.write_text("tunnels: {}\n")
    told = box.run("tunnels", "apply")
    assert told.returncode == 1 and "run this again" in told.stderr, told


def test_options_that_are_too_long_for_a_link_are_said(edge, ana, machines, services):
    box = enrolled(edge, ana, machines())
    networks = "\n".join(f"      - 10.{number // 256}.{number % 256}.0/24" for number in range(5200))
    box.start(f"tunnels:\n  web:\n    http: {services().port}\n  long:\n    http: 1\n    deny:\n{networks}\n")
    assert get(edge, box.online("web"))[0] == 200
    wait_for(lambda: "64 KiB" in (box.tunnel("long").get("problem") or ""), box.text)
    assert box.run("machine", "rekey").returncode == 0


def test_two_agents_on_one_directory_are_one(edge, ana, machines, services):
    box = enrolled(edge, ana, machines()).start(web(services()))
    host = box.online("web")
    second = box.run("agent", "--settings", str(box.settings))
    assert second.returncode == 1 and "an agent is already running on" in second.stderr
    assert box.tunnel("web")["state"] == "online" and get(edge, host)[0] == 200


def test_a_new_key_survives_a_crash_at_any_moment(edge, ana, machines, services):
    """The server knows the next key and the machine has both: whichever is good is found."""
    box = enrolled(edge, ana, machines()).start(web(services()))
    host = box.online("web")
    old = (box.state / "machine.pem").read_bytes()
    assert box.run("machine", "rekey").returncode == 0
    wait_for(lambda: box.tunnel("web").get("state") == "online", "the tunnel by the new key")
    new = (box.state / "machine.pem").read_bytes()
    box.stop("kill")
    # As if the rename had been lost in a power failure.
    (box.state / "machine.pem").write_bytes(old)
    (box.state / "machine-next.pem").write_bytes(new)
    box.start()
    assert box.online("web") == host and (box.state / "machine.pem").read_bytes() == new
    assert not (box.state / "machine-next.pem").exists()


def test_an_enrolment_whose_answer_is_lost_is_repeated_with_the_same_key(edge, ana, machines):
    code = invite(ana)
    box = machines()
    assert box.enroll(edge, code=code).returncode == 0
    # As if the machine had been switched off before it wrote the answer down.
    (box.state / "machine.json").unlink()
    (box.state / "machine.pem").rename(box.state / "machine-next.pem")
    again = box.enroll(edge, code=code)
    assert again.returncode == 0, again.stderr
    assert len(ana.call("GET", "/machines")[1]) == 1
    assert (box.state / "machine.pem").exists() and not (box.state / "machine-next.pem").exists()
    swapped = box.run("machine", "enroll", code)
    assert swapped.returncode == 2 and "the server's address comes first" in swapped.stderr
