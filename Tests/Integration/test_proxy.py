"""Behind a real nginx, with the configuration that docs/configure.md gives."""

import http.client
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.parse

import pytest

from acme import free_ports
from conftest import PATIENCE, ROOT, make_pair, wait_for
from people import PASSWORD, Person


class Nginx:
    """The block of the manual, with a certificate and ports of the test's own."""

    def __init__(self, directory, behind, host="proxy_set_header Host $host;"):
        directory.mkdir()
        make_pair(directory, "localhost")
        [self.port] = free_ports(1)
        block = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/configure.md").read_text(), re.S).group(1)
        for there, here in (("listen 443", f"listen 127.0.0.1:{self.port}"), ("box.example;", "localhost;"),
                            ("/etc/ssl/box.example.pem", f"{directory}/cert.pem"),
                            ("/etc/ssl/box.example.key", f"{directory}/key.pem"), ("127.0.0.1:8080", behind), ("proxy_set_header Host $host;", host)):
            assert there in block, there
            block = block.replace(there, here)
        temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (directory / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {directory}/pid; error_log {directory}/errors;\n"
            f"events {{}} http {{ access_log off; {temporary} {block} }}")
        self.process = subprocess.Popen(
            [shutil.which("nginx") or "/usr/sbin/nginx", "-p", directory, "-c", directory / "nginx.conf"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.fingerprint = "sha256:" + subprocess.run(
            ["openssl", "x509", "-in", directory / "cert.pem", "-noout", "-fingerprint", "-sha256"], check=True,
            capture_output=True, text=True).stdout.split("=")[1].strip().replace(":", "").lower()

    def listens(self):
        try:
            return socket.create_connection(("127.0.0.1", self.port), PATIENCE).close() or True
        except OSError:
            return False

    def get(self, path, who, token=None):
        """A request from one of this machine's addresses: (status, body)."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, source_address=(who, 0), context=ssl._create_unverified_context())
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture
def proxied(make_server, tmp_path, request):
    """A server behind nginx: (server, nginx)."""
    server = make_server("--trusted-proxies", "127.0.0.1", "--public-calls-per-minute", "3")
    nginx = Nginx(tmp_path / "nginx", server.address)
    request.addfinalizer(nginx.close)
    wait_for(nginx.listens, lambda: "nginx: " + (tmp_path / "nginx/errors").read_text())
    return server, nginx


def test_people_behind_nginx_are_told_apart_and_none_is_this_machines_own_program(proxied):
    server, nginx = proxied
    ask = lambda who: nginx.get("/codes/SYCLX-AAAAAA/validate", who)[0]
    assert [ask("127.0.0.2") for _ in range(4)][-1] == 429
    assert ask("127.0.0.3") != 429
    assert nginx.get("/metrics", "127.0.0.2")[0] == 401
    administrator = server.user("root", "--admin")
    status, text = nginx.get("/metrics", "127.0.0.2", administrator.token)
    assert status == 200 and b"postern_relay_guests" in text


def test_a_session_goes_through_nginx(proxied, shares, children):
    server, nginx = proxied
    ana, ben = server.user("ana"), server.user("ben")
    # People know the web server's address and certificate, and no other.
    server.url, server.fingerprint = f"https://127.0.0.1:{nginx.port}", nginx.fingerprint
    share = ana.share("--", "cat")
    shares.append(share)
    guest = ben.join(share.invitation(), "--name", "Bea", stdin=subprocess.PIPE)
    children.append(guest)
    share.wait("guest_joined")
    guest.stdin.write(b"through the front\n")
    guest.stdin.flush()
    shown = b""
    # What `cat` repeats, behind what the terminal echoes.
    while shown.count(b"through the front") < 2:
        piece = guest.stdout.read1()
        assert piece, (shown, guest.stderr.read())
        shown += piece
    guest.send_signal(signal.SIGTERM)
    share.wait("guest_left")


@pytest.mark.parametrize("host", ["proxy_set_header Host $host;", "proxy_set_header Host $http_host;",
                                  "proxy_set_header Host $host:$server_port;", ""])
def test_forms_are_taken_from_pages_of_the_public_url_whatever_the_host_line_says(make_server, tmp_path, request, host):
    [port] = free_ports(1)
    origin = f"https://box.test:{port}"
    server = make_server("--trusted-proxies", "127.0.0.1", "--public-url", origin)
    person = Person(server, "ana")
    nginx = Nginx(tmp_path / "nginx", server.address, host)
    request.addfinalizer(nginx.close)
    wait_for(nginx.listens, lambda: "nginx: " + (tmp_path / "nginx/errors").read_text())

    def ask(method, headers=None, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", nginx.port, timeout=PATIENCE, context=ssl._create_unverified_context())
        connection.request(method, "/sign-in", body, {"Host": f"box.test:{port}", **(headers or {})})
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read().decode()
        connection.close()
        return found
    _, headers, page = ask("GET")
    cookie = headers["Set-Cookie"].split(";")[0]
    form = {"form": re.search(r'name="form" value="([^"]*)"', page).group(1), "username": "ana", "password": PASSWORD, "next": "/account"}

    def send(origin):
        return ask("POST", {"Cookie": cookie, "Origin": origin, "Content-Type": "application/x-www-form-urlencoded"},
                   urllib.parse.urlencode(form))
    # Another site's page is refused as before, and the log says which.
    assert send("https://evil.test")[0] == 403
    wait_for(lambda: "origin=https://evil.test" in server.log.read_text(), "the refusal in the log")
    assert f"public-url={origin}" in server.log.read_text()
    assert send(origin)[0] == 303
    assert person.name == "ana"
