"""TLS, checked by peers that others wrote: OpenSSL's own client, curl, Python's ssl."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from conftest import PATIENCE, POSTERN, clean_environment, make_pair, wait_for


@pytest.fixture
def secure(make_server):
    return make_server(tls=True)


def s_client(server, *options, stdin=b"", check=True):
    host, port = server.address.rsplit(":", 1)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", *options], input=stdin, capture_output=True,
        timeout=PATIENCE)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


GET = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_talks_to_us(secure, version):
    text = s_client(secure, f"-{version}", "-alpn", "h2,http/1.1", "-ign_eof", stdin=GET)
    assert "200 OK" in text and '"status":"ok"' in text
    assert "ALPN protocol: http/1.1" in text
    assert ("TLSv1.3" if version == "tls1_3" else "TLSv1.2") in text
    assert re.search(r"Cipher is (ECDHE-|TLS_)", text)


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_versions_are_refused(secure, version):
    text = s_client(secure, f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in text


def test_ciphers_without_forward_secrecy_are_refused(secure):
    text = s_client(secure, "-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384:AES128-GCM-SHA256")
    assert "Cipher is (NONE)" in text


def test_no_protocol_in_common_is_an_alert(secure):
    assert "no application protocol" in s_client(secure, "-alpn", "gopher")


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_sessions_are_resumed_by_ticket(secure, tmp_path, version):
    session = str(tmp_path / "session")
    first = s_client(secure, f"-{version}", "-sess_out", session, "-ign_eof", stdin=GET)
    assert "New, TLS" in first
    again = s_client(secure, f"-{version}", "-sess_in", session, "-ign_eof", stdin=GET)
    assert "Reused, TLS" in again and "200 OK" in again


def test_a_ticket_of_before_a_restart_costs_a_full_handshake_and_nothing_else(secure, tmp_path):
    session = str(tmp_path / "session")
    s_client(secure, "-sess_out", session, "-ign_eof", stdin=GET)
    secure.restart()
    again = s_client(secure, "-sess_in", session, "-ign_eof", stdin=GET)
    assert "New, TLS" in again and "200 OK" in again


def test_renegotiation_is_refused(secure):
    host, port = secure.address.rsplit(":", 1)
    client = subprocess.Popen(
        ["openssl", "s_client", "-tls1_2", "-connect", f"{host}:{port}"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen = b""
    while b"Verify return code" not in seen:
        seen += client.stdout.readline()
    client.stdin.write(b"R\n")
    client.stdin.flush()
    rest = client.communicate(timeout=PATIENCE)[0]
    assert b"no renegotiation" in rest


def test_the_connection_ends_with_a_farewell_both_ways(secure):
    context = ssl._create_unverified_context()
    with socket.create_connection(tuple([secure.address.split(":")[0], int(secure.address.split(":")[1])])) as raw:
        # suppress_ragged_eofs=False: an end without close_notify is an error.
        with context.wrap_socket(raw, suppress_ragged_eofs=False) as tls:
            tls.sendall(GET)
            text = b""
            while chunk := tls.recv(65536):
                text += chunk
            assert b"200 OK" in text


def test_a_client_that_hangs_up_inside_the_handshake_leaves_nothing(secure):
    host, port = secure.address.rsplit(":", 1)
    for cut in (0, 1, 5, 40):
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(bytes.fromhex("16030100f8010000f40303") [:cut] + bytes(max(0, cut - 11)))
    assert secure.call("GET", "/health")[0] == 200


def test_plain_http_on_the_tls_port_is_told_so(secure):
    host, port = secure.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(GET)
        answer = b""
        while chunk := raw.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 400") and b"https://" in answer


def test_curl_and_large_bodies(secure, tmp_path):
    ana = secure.user("ana")
    # 60 KB up, refused or not: every byte of it crosses TLS.
    (tmp_path / "body").write_text(json.dumps({"hostPublicKey": "k", "junk": "x" * 60_000}))
    done = subprocess.run(
        ["curl", "-sk", "-X", "POST", "-H", f"Authorization: Bearer {ana.token}", "--data-binary",
         f"@{tmp_path / 'body'}", "-w", "%{http_code}", f"{secure.url}/sessions"],
        capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.endswith("201")


def test_python_clients_do_many_requests_on_one_connection(secure):
    import http.client
    host, port = secure.address.rsplit(":", 1)
    connection = http.client.HTTPSConnection(host, int(port), context=ssl._create_unverified_context())
    for _ in range(50):
        connection.request("GET", "/health")
        assert connection.getresponse().read().startswith(b"{")
    connection.close()


# Files


def test_files_are_served_by_name_and_unknown_names_get_an_alert(make_server, tmp_path):
    authority = make_pair(tmp_path, "box.example", "192.0.2.1")
    server = make_server("--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"),
                         "--tls-key", str(tmp_path / "key.pem"), tls=True)
    assert "200 OK" in s_client(server, "-servername", "box.example", "-CAfile", authority, "-verify_return_error",
                                "-verify_hostname", "box.example", "-ign_eof", stdin=GET)
    assert "unrecognized name" in s_client(server, "-servername", "other.example")
    assert "200 OK" in s_client(server, "-noservername", "-ign_eof", stdin=GET)
    assert "strict-transport-security: max-age" in s_client(server, "-servername", "box.example", "-ign_eof", stdin=GET).lower()


def test_a_new_pair_is_taken_under_load_and_no_request_fails(make_server, tmp_path):
    make_pair(tmp_path, "box.example")
    server = make_server("--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"),
                         "--tls-key", str(tmp_path / "key.pem"), tls=True)
    context = ssl._create_unverified_context()
    host, port = server.address.rsplit(":", 1)
    stop, failures, seen = threading.Event(), [], set()

    def load():
        while not stop.is_set():
            try:
                with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
                    with context.wrap_socket(raw, server_hostname="box.example") as tls:
                        seen.add(tls.getpeercert(True))
                        tls.sendall(GET)
                        answer = b""
                        while chunk := tls.recv(65536):
                            answer += chunk
                        if b"200 OK" not in answer:
                            failures.append(answer)
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(4)]
    [thread.start() for thread in threads]
    try:
        for count in range(1, 4):
            wait_for(lambda: len(seen) >= count, "the certificate of before")
            make_pair(tmp_path, "box.example")
            server.process.send_signal(1)  # SIGHUP
            wait_for(lambda: len(seen) > count, "the new certificate")
    finally:
        stop.set()
        [thread.join() for thread in threads]
    assert not failures and len(seen) == 4


def test_a_pair_that_does_not_fit_leaves_the_old_one(make_server, tmp_path):
    make_pair(tmp_path, "box.example")
    server = make_server("--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"),
                         "--tls-key", str(tmp_path / "key.pem"), tls=True)
    before = s_client(server, "-servername", "box.example")
    (tmp_path / "other").mkdir()
    make_pair(tmp_path / "other", "box.example")
    (tmp_path / "key.pem").write_text((tmp_path / "other/key.pem").read_text())
    server.process.send_signal(1)
    wait_for(lambda: "the old one stays" in server.log.read_text(), "the complaint")
    certificate = lambda text: re.search("-----BEGIN CERTIFICATE-----.*?-----END", text, re.S).group()
    assert certificate(s_client(server, "-servername", "box.example")) == certificate(before)


def test_several_certificates_are_each_shown_to_those_who_ask_for_their_name(make_server, tmp_path):
    authorities = {}
    for name in ("box.example", "other.example"):
        (tmp_path / name).mkdir()
        authorities[name] = make_pair(tmp_path / name, name)
    server = make_server("--tls-mode", "files", "--tls-certificate", ",".join(f"{tmp_path}/{name}/cert.pem" for name in authorities),
                         "--tls-key", ",".join(f"{tmp_path}/{name}/key.pem" for name in authorities), tls=True)
    for name, authority in authorities.items():
        assert "200 OK" in s_client(server, "-servername", name, "-CAfile", authority, "-verify_return_error",
                                    "-verify_hostname", name, "-ign_eof", stdin=GET)
    assert "unrecognized name" in s_client(server, "-servername", "third.example")
    # Who asks for no name gets the first.
    assert "200 OK" in s_client(server, "-noservername", "-CAfile", authorities["box.example"], "-verify_return_error", "-ign_eof", stdin=GET)
    assert [shown["names"] for shown in statuses(server)] == [["box.example"], ["other.example"]]


def test_one_expired_pair_does_not_keep_the_others_from_being_renewed(make_server, tmp_path):
    names = ("box.example", "other.example")
    for name in names:
        (tmp_path / name).mkdir()
        make_pair(tmp_path / name, name)
    server = make_server("--tls-mode", "files", "--tls-certificate", ",".join(f"{tmp_path}/{name}/cert.pem" for name in names),
                         "--tls-key", ",".join(f"{tmp_path}/{name}/key.pem" for name in names), tls=True)
    box, other = [certificate(s_client(server, "-servername", name)) for name in names]
    # For other names as well: what it stands for is not what is shown.
    make_pair(tmp_path / "other.example", "old.example", "other.example", days=5, since=20)
    wait_for(lambda: "has expired; replace it" in server.log.read_text(), "the complaint")
    make_pair(tmp_path / "box.example", "box.example")
    wait_for(lambda: certificate(s_client(server, "-servername", "box.example")) != box, "the new certificate")
    # What is still good goes on, instead of the one that has ended.
    assert certificate(s_client(server, "-servername", "other.example")) == other
    assert all("has expired" in shown["problem"] for shown in statuses(server))
    # Where nothing of the same name is left, what stood in its place is.
    make_pair(tmp_path / "other.example", "third.example", days=5, since=20)
    wait_for(lambda: server.log.read_text().count("has expired; replace it") >= 2, "the second complaint")
    assert certificate(s_client(server, "-servername", "other.example")) == other


def statuses(server):
    """What `cert status` says of a server with files."""
    done = subprocess.run([POSTERN, "cert", "status", "--json", "--state", server.state], capture_output=True, text=True,
                          env=server.settings)
    return [json.loads(line) for line in done.stdout.splitlines()] or done.stderr


def certificate(text):
    return re.search("-----BEGIN CERTIFICATE-----.*?-----END", text, re.S).group()


def test_changed_files_are_taken_without_a_word(make_server, tmp_path):
    make_pair(tmp_path, "box.example")
    server = files(make_server, tmp_path)
    before = certificate(s_client(server, "-servername", "box.example"))
    make_pair(tmp_path, "box.example")
    wait_for(lambda: certificate(s_client(server, "-servername", "box.example")) != before, "the new certificate")


def files(make_server, tmp_path):
    return make_server("--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"),
                       "--tls-key", str(tmp_path / "key.pem"), tls=True)


def test_cert_status_says_what_is_shown_and_not_what_lies_on_the_disk(make_server, tmp_path):
    make_pair(tmp_path, "box.example")
    server = files(make_server, tmp_path)
    before = statuses(server)[0]
    (tmp_path / "key.pem").write_text("no key\n")
    make_pair(tmp_path, "new.example")
    (tmp_path / "key.pem").write_text("no key\n")
    wait_for(lambda: "the old one stays" in server.log.read_text(), "the complaint")
    now = wait_for(lambda: (found := statuses(server)[0]).get("problem") and found, "the problem")
    assert now["fingerprint"] == before["fingerprint"] and now["names"] == ["box.example"]


@pytest.mark.parametrize("since, urgency, state, line", [
    (80, "warning", "warning", "level=warning msg=\"certificate expires soon\""),
    (95, "alarm", "alarm", "level=error msg=\"certificate expires soon\""),
    (101, "alarm", "failed", "level=error msg=\"certificate expired\"")])
def test_a_certificate_that_nears_its_end_is_said_everywhere(make_server, tmp_path, since, urgency, state, line):
    """A hundred days' certificate that was made so many days ago."""
    make_pair(tmp_path, "box.example", days=100, since=since)
    server = files(make_server, tmp_path)
    wait_for(lambda: line in server.log.read_text(), lambda: server.log.read_text())
    ready, report = server.call("GET", "/ready")
    found = next(part for part in report["components"] if part["name"] == "certificate")
    # An alarm is no outage; an end is one.
    assert found["state"] == state and ready == (503 if state == "failed" else 200)
    assert statuses(server)[0]["urgency"] == urgency
    page = s_client(server, "-servername", "box.example", "-ign_eof",
                    stdin=GET.replace(b"GET /health", b"GET /status"))
    assert {"warning": "needs attention<", "alarm": "needs attention now<", "failed": "broken<"}[state] in page
    doctor = subprocess.run([POSTERN, "doctor", "--state", server.state], capture_output=True, text=True,
                            env=server.settings)
    assert "BAD certificate" in doctor.stdout, doctor.stdout + doctor.stderr


# Stapling

@pytest.fixture
def responder(tmp_path, children):
    """OpenSSL's own OCSP responder, for a certificate that names it."""
    from acme import free_ports
    port = free_ports(1)[0]
    authority = make_pair(tmp_path, "box.example", ocsp=f"http://127.0.0.1:{port}/")
    serial = subprocess.run(["openssl", "x509", "-in", tmp_path / "cert.pem", "-noout", "-serial"], check=True,
                            capture_output=True, text=True).stdout.strip().split("=")[1]
    (tmp_path / "index").write_text(f"V\t491231235959Z\t\t{serial}\tunknown\t/CN=test\n")

    def start():
        process = subprocess.Popen(
            ["openssl", "ocsp", "-index", tmp_path / "index", "-port", str(port), "-rsigner", authority, "-rkey",
             tmp_path / "ca.key", "-CA", authority, "-ndays", "3"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        children.append(process)
        # Not by connecting: it serves one connection after the other, and a silent one for ever.
        while b"waiting" not in (line := process.stdout.readline()):
            assert line, "the responder ended"

    chain = tmp_path / "chain.pem"
    chain.write_text((tmp_path / "cert.pem").read_text() + (tmp_path / "ca.pem").read_text())
    start.chain, start.key, start.index, start.serial = chain, tmp_path / "key.pem", tmp_path / "index", serial
    return start


def test_the_issuers_word_is_stapled_where_the_certificate_names_a_responder(make_server, responder):
    responder()
    server = make_server("--tls-mode", "files", "--tls-certificate", str(responder.chain), "--tls-key",
                         str(responder.key), tls=True)
    stapled = lambda: s_client(server, "-servername", "box.example", "-status")
    wait_for(lambda: "Cert Status: good" in stapled(), "the staple")
    assert "OCSP Response Status: successful" in stapled()


def test_a_revoked_or_silent_answer_is_not_stapled_and_the_server_serves(make_server, responder):
    responder.index.write_text(f"R\t491231235959Z\t260101000000Z\t{responder.serial}\tunknown\t/CN=test\n")
    responder()
    server = make_server("--tls-mode", "files", "--tls-certificate", str(responder.chain), "--tls-key",
                         str(responder.key), tls=True)
    wait_for(lambda: "is revoked" in server.log.read_text(), "the answer")
    text = s_client(server, "-servername", "box.example", "-status", "-ign_eof", stdin=GET)
    assert "no response sent" in text and "200 OK" in text


# The client


def test_login_wants_the_fingerprint_and_share_and_join_work(secure, tmp_path):
    ana = secure.user("ana")
    environment = {**ana.environment, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    for name in ("POSTERN_URL", "POSTERN_TOKEN", "POSTERN_FINGERPRINT"):
        environment.pop(name)
    def login(*options):
        return subprocess.run([POSTERN, "login", secure.url, *options], input=ana.token, env=environment,
                              capture_output=True, text=True, timeout=PATIENCE)
    refused = login()
    assert refused.returncode == 1 and secure.fingerprint in refused.stderr
    wrong = "sha256:" + "0" * 64
    refused = login("--fingerprint", wrong)
    assert refused.returncode == 1 and wrong in refused.stderr and secure.fingerprint in refused.stderr
    assert login("--fingerprint", secure.fingerprint).returncode == 0
    assert json.loads((tmp_path / "config/postern/credentials.json").read_text())["fingerprint"] == secure.fingerprint


def test_the_command_line_goes_through_the_proxy_of_the_environment(secure, tmp_path):
    """A proxy for tunnels, which sees where a connection goes and nothing of what it carries."""
    asked = []

    def serve(listener):
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            request = b""
            while b"\r\n\r\n" not in request:
                request += one.recv(4096)
            asked.append(request.split(b"\r\n")[0].decode())
            host, port = asked[-1].split()[1].rsplit(":", 1)
            other = socket.create_connection(("127.0.0.1" if host == "box.invalid" else host, int(port)))
            one.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    def pump(source, sink):
        try:
            while chunk := source.recv(65536):
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        ana = secure.user("ana")
        # Addresses of this machine are asked directly; this one is, and does not look like it.
        port = secure.address.rsplit(":", 1)[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
        environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
        environment["HTTPS_PROXY"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        login = [POSTERN, "login", f"https://0.0.0.0:{port}", "--fingerprint", secure.fingerprint]
        done = subprocess.run(
            login, input=ana.token, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        assert asked and set(asked) == {f"CONNECT 0.0.0.0:{port} HTTP/1.1"}
        through = len(asked)
        subprocess.run(login, input=ana.token, env={**environment, "NO_PROXY": "0.0.0.0"}, check=True,
                       capture_output=True, text=True, timeout=PATIENCE)
        assert len(asked) == through
        # A session goes the same way as the calls: only the proxy knows this name.
        subprocess.run(
            [POSTERN, "login", f"https://box.invalid:{port}", "--fingerprint", secure.fingerprint], input=ana.token,
            env=environment, check=True, capture_output=True, text=True, timeout=PATIENCE)
        share = subprocess.Popen(
            [POSTERN, "share", "--json", "--", "sleep", "1000"], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            opening = share.stdout.readline()
            assert opening, share.stderr.read()
            link = json.loads(opening)["codes"][0]["url"]
            guest = subprocess.Popen([POSTERN, "join", link], env=environment, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                assert any(json.loads(line)["event"] == "guest_joined" for line in share.stdout)
            finally:
                guest.kill()
                guest.communicate()
        finally:
            share.kill()
            share.communicate()


def test_a_session_over_tls_and_the_link_carries_the_fingerprint(secure):
    ana, ben = secure.user("ana"), secure.user("ben")
    share = ana.share("--", "sh", "-c", "read word; echo got $word; exit 7")
    try:
        assert share.opening["fingerprint"] == secure.fingerprint
        link = share.code("control")["url"]
        assert link.endswith("." + secure.fingerprint.removeprefix("sha256:"))
        guest = ben.join(link, stdin=subprocess.PIPE)
        share.wait("guest_joined")
        guest.stdin.write(b"tls\n")
        guest.stdin.flush()
        output, error = guest.communicate(timeout=PATIENCE)
        assert b"got tls" in output, error
        assert share.process.wait(PATIENCE) == 7
    finally:
        share.end()


def test_what_the_system_trusts_needs_no_fingerprint(make_server, tmp_path):
    authority = make_pair(tmp_path, "localhost")
    server = make_server("--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"),
                         "--tls-key", str(tmp_path / "key.pem"), tls=True)
    ana = server.user("ana")
    url = f"https://localhost:{server.address.rsplit(':', 1)[1]}"
    environment = {**clean_environment(), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    login = lambda **more: subprocess.run([POSTERN, "login", url], input=ana.token, capture_output=True, text=True,
                                          timeout=PATIENCE, env={**environment, **more})
    assert "no trusted authority was found" in login().stderr
    done = login(SSL_CERT_FILE=authority)
    assert done.returncode == 0 and "Signed in" in done.stdout, done.stderr
    assert "fingerprint" not in (tmp_path / "config/postern/credentials.json").read_text()


def test_a_changed_fingerprint_is_refused_with_both_shown(secure):
    ana, ben = secure.user("ana"), secure.user("ben")
    share = ana.share("--", "sleep", "1000")
    try:
        other = "0" * 63 + "1"
        link = share.code("control")["url"].rsplit(".", 1)[0] + "." + other
        guest = ben.join(link)
        _, error = guest.communicate(timeout=PATIENCE)
        assert guest.returncode == 1 and other in error.decode() and secure.fingerprint in error.decode()
    finally:
        share.end()


def test_a_server_that_changes_its_certificate_ends_the_share_with_a_word(secure):
    ana = secure.user("ana")
    share = ana.share("--", "sleep", "1000")
    try:
        secure.stop()
        Path(secure.state, "self-signed.pem").unlink()
        before = secure.fingerprint
        secure.start()
        event = share.wait("sharing_ended")
        assert before in event["message"] and secure.fingerprint in event["message"]
    finally:
        share.end()


def test_a_pipe_in_the_place_of_a_certificate_is_refused_and_stops_nothing(make_server, tmp_path):
    """Opening a pipe that nobody writes to waits for ever: the thread that watched files hung, and SIGTERM was never finished."""
    make_pair(tmp_path, "127.0.0.1")
    server = make_server("--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key",
                         str(tmp_path / "key.pem"), tls=True)
    (tmp_path / "cert.pem").unlink()
    os.mkfifo(tmp_path / "cert.pem")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "a pipe or a socket" in server.log.read_text(), "the refusal")
    assert server.call("GET", "/health")[0] == 200
    server.stop()
    assert server.process.returncode == 0
