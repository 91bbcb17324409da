"""A certificate authority for tests: Debian's Pebble with its challenge test server, on ports of its own."""

import base64
import http.client
import http.server
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import urllib.request

from conftest import PATIENCE, make_pair, wait_for


def free_ports(count):
    """Ports that nobody uses, for programs that cannot choose one themselves. Below those that the system gives to connections and to port 0: nobody
    else takes them meanwhile."""
    found = []
    while len(found) < count:
        port = random.randrange(10_000, 20_000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


class Pebble:
    def __init__(self, directory, http_port, tls_port, nonce_reject=20, binding=None, sleep=None):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        # Longer than the tests that look into the future.
        self.root = make_pair(directory, "localhost", "127.0.0.1", days=3650)
        self.port, self.management, self.dns, self.dns_management = free_ports(4)
        self.directory_url = f"https://localhost:{self.port}/dir"
        config = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(directory / "cert.pem"), "privateKey": str(directory / "key.pem"),
            "httpPort": http_port, "tlsPort": tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": binding is not None}
        if binding:
            config["externalAccountMACKeys"] = binding
        (directory / "pebble.json").write_text(json.dumps({"pebble": config}))
        self.nonce_reject = nonce_reject
        self.sleep = {"PEBBLE_VA_SLEEPTIME": str(sleep)} if sleep else {"PEBBLE_VA_NOSLEEP": "1"}
        self.process = None
        self.names = subprocess.Popen(
            ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{self.dns}",
             "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{self.dns_management}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        log = (self.directory / "pebble.log").open("ab")
        self.process = subprocess.Popen(
            ["pebble", "-config", str(self.directory / "pebble.json"), "-dnsserver", f"127.0.0.1:{self.dns}"],
            stdout=log, stderr=log,
            env={**os.environ, **self.sleep, "PEBBLE_WFE_NONCEREJECT": str(self.nonce_reject),
                 # Every name is proved anew, so that every test proves something.
                 "PEBBLE_AUTHZREUSE": "0"})
        wait_for(self.answers, "Pebble")
        return self

    def answers(self):
        try:
            self.get("/dir")
            return True
        except OSError:
            return False

    def get(self, path, management=False):
        port = self.management if management else self.port
        with urllib.request.urlopen(
                f"https://localhost:{port}{path}", context=ssl._create_unverified_context(), timeout=PATIENCE) as answer:
            return answer.read()

    def point(self, name, address):
        """What DNS says of a name."""
        body = json.dumps({"host": name, "addresses": [address]}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.dns_management}/add-a", data=body, timeout=PATIENCE)

    def unpoint(self, name):
        body = json.dumps({"host": name}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.dns_management}/clear-a", data=body, timeout=PATIENCE)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        self.names.kill()
        self.names.wait()

    @property
    def log(self):
        return (self.directory / "pebble.log").read_text()


class Front:
    """Stands in front of Pebble as a newer authority would: renewal information (RFC 9773), and rate limits on demand."""

    def __init__(self, pebble):
        self.pebble = pebble
        self.window = None
        self.asked, self.orders = [], []
        self.limit_next = None
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.relay(None)

            do_HEAD = do_GET

            def do_POST(self):
                self.relay(self.rfile.read(int(self.headers["Content-Length"])))

            def relay(self, body):
                if self.path.startswith("/renewal-info/"):
                    front.asked.append(self.path.removeprefix("/renewal-info/"))
                    start, end = front.window
                    return self.answer(200, {"Retry-After": "21600"}, json.dumps(
                        {"suggestedWindow": {"start": start, "end": end}}).encode())
                if self.path == "/order-plz":
                    payload = json.loads(body)["payload"]
                    front.orders.append(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
                    if front.limit_next:
                        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders; come back later"}
                        headers = {"Retry-After": str(front.limit_next), "Content-Type": "application/problem+json"}
                        front.limit_next = None
                        return self.answer(429, headers, json.dumps(problem).encode())
                connection = http.client.HTTPSConnection(
                    "localhost", front.pebble.port, context=ssl._create_unverified_context(), timeout=PATIENCE)
                connection.request(self.command, self.path, body, {
                    "Host": f"localhost:{front.port}", "Content-Type": self.headers.get("Content-Type", "")})
                answer = connection.getresponse()
                text = answer.read()
                if self.path == "/dir":
                    found = json.loads(text)
                    if front.window:
                        found["renewalInfo"] = f"https://localhost:{front.port}/renewal-info"
                    text = json.dumps(found).encode()
                kept = {name: value for name, value in answer.getheaders()
                        if name in ("Replay-Nonce", "Location", "Content-Type", "Retry-After", "Link")}
                self.answer(answer.status, kept, text)

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pebble.directory / "cert.pem", pebble.directory / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.directory_url = f"https://localhost:{self.port}/dir"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
