"""The tunnels' part of `make bench`: `postern tcp` and `postern http` beside OpenSSH -R, stunnel, nginx and HAProxy, interleaved in one run.

Ratios are what counts: absolute figures move by a factor of two on shared machines. CPU is of the processes that carry the bytes, on
both sides; services and loads are not counted.
"""

import json
import os
import re
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Tests/Integration"))

POSTERN = os.environ["POSTERN"]
QUICK = bool(os.environ.get("QUICK"))
RUNS = int(os.environ.get("RUNS", "1" if QUICK else "5"))
SECONDS = int(os.environ.get("TUNNEL_SECONDS", "2" if QUICK else "4"))
BULK = (256 if QUICK else 1024) << 20
DOMAIN = "t.test"


def cpu(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(port):
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)


def children(pid):
    return [int(one) for one in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()]


class Source:
    """The service: sends bulk to who asks for it by `B`, and every byte back to who sends `E` first."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        piece = bytes(1 << 18)
        with connection:
            try:
                kind = connection.recv(1)
                if kind == b"B":
                    for _ in range(BULK // len(piece)):
                        connection.sendall(piece)
                while kind == b"E" and (part := connection.recv(4096)):
                    connection.sendall(part)
            except OSError:
                pass


class Bench:
    def __enter__(self):
        from conftest import make_pair
        self.folder = Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.folder.chmod(0o755)
        self.processes = []
        make_pair(self.folder, f"*.{DOMAIN}", "localhost")
        self.source = Source()
        self.https, self.tunnel_port, self.ssh_port = free_port(), free_port(), free_port()
        server = self.start(
            [POSTERN, "serve", "--state", self.folder / "state", "--https", f"127.0.0.1:{self.https}", "--tunnel-domain", DOMAIN,
             "--tunnel-certificate", self.folder / "cert.pem", "--tunnel-key", self.folder / "key.pem", "--tunnel-ports",
             str(self.tunnel_port), "--tunnel-port-address", "127.0.0.1", "--joins-per-minute", "1000000",
             "--connections-per-address", "100000"])
        server.stdout.readline()
        self.server = server
        made = json.loads(self.run(POSTERN, "user", "add", "ana", "--state", self.folder / "state", "--json"))
        self.token = made["token"]
        status = json.loads(self.run(POSTERN, "cert", "status", "--json", "--state", self.folder / "state").splitlines()[0])
        self.environment = {**os.environ, "POSTERN_URL": f"https://127.0.0.1:{self.https}", "POSTERN_TOKEN": self.token,
                            "POSTERN_FINGERPRINT": status["fingerprint"]}
        self.tcp = self.tunnel("tcp", str(self.source.port), "--port", str(self.tunnel_port))
        self.web()
        self.http = self.tunnel("http", str(self.nginx_port), "--name", "bench")
        self.neighbours()
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
        shutil.rmtree(self.folder)

    def run(self, *command):
        return subprocess.run([str(one) for one in command], check=True, capture_output=True, text=True).stdout

    def start(self, command, **more):
        process = subprocess.Popen([str(one) for one in command], stdout=subprocess.PIPE,
                                   stderr=(self.folder / "log").open("a"), text=True, **more)
        self.processes.append(process)
        return process

    def tunnel(self, *arguments):
        process = self.start([POSTERN, *arguments, "--json"], env=self.environment)
        line = process.stdout.readline()
        if not line:
            raise SystemExit((self.folder / "log").read_text())
        # Its events are read, so that it does not wait for us.
        threading.Thread(target=lambda: [None for _ in process.stdout], daemon=True).start()
        return process

    def web(self):
        """The service of the HTTP rows: nginx with a page of 1 KiB, and a reverse proxy of it with TLS, for comparison."""
        self.nginx_port, self.proxy_port = free_port(), free_port()
        (self.folder / "www").mkdir()
        (self.folder / "www/page").write_bytes(b"x" * 1024)
        (self.folder / "www/bulk").write_bytes(bytes(256 << 20))
        for path in (self.folder / "www", *(self.folder / "www").iterdir()):
            path.chmod(0o755)
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        for name, rest in (("service", f"server {{ listen 127.0.0.1:{self.nginx_port} backlog=1024; root {self.folder}/www; }}"),
                           ("proxy", f"""upstream one {{ server 127.0.0.1:{self.nginx_port}; keepalive 64; }}
                              server {{ listen 127.0.0.1:{self.proxy_port} ssl backlog=1024;
                                ssl_certificate {self.folder}/cert.pem; ssl_certificate_key {self.folder}/key.pem;
                                location / {{ proxy_pass http://one; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}""")):
            (self.folder / f"{name}.conf").write_text(f"""
                user root; worker_processes 2; daemon off; pid {self.folder}/{name}.pid; error_log {self.folder}/error.log;
                events {{ worker_connections 4096; }}
                http {{ access_log off; sendfile on; keepalive_requests 100000000; {temporary} {rest} }}""")
            setattr(self, f"nginx_{name}", self.start(["nginx", "-c", self.folder / f"{name}.conf"]))
        wait_for(self.nginx_port)
        wait_for(self.proxy_port)

    def neighbours(self):
        for name in ("key", "host"):
            self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name)
        (self.folder / "authorized").write_text((self.folder / "key.pub").read_text())
        Path("/run/sshd").mkdir(exist_ok=True)
        ssh_listen = free_port()
        sshd = self.start(["/usr/sbin/sshd", "-D", "-f", "/dev/null", "-p", ssh_listen, "-h", self.folder / "host", "-o",
                           "ListenAddress=127.0.0.1", "-o", f"AuthorizedKeysFile={self.folder}/authorized", "-o", "StrictModes=no",
                           "-o", "PidFile=none", "-o", "PermitRootLogin=yes"])
        wait_for(ssh_listen)
        ssh = self.start(
            ["ssh", "-N", "-p", ssh_listen, "-i", self.folder / "key", "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-c", "aes128-gcm@openssh.com", "-R",
             f"127.0.0.1:{self.ssh_port}:127.0.0.1:{self.source.port}", "127.0.0.1"])
        wait_for(self.ssh_port)
        self.ssh = [ssh.pid, *children(sshd.pid), *[one for pid in children(sshd.pid) for one in children(pid)]]
        near, far = free_port(), free_port()
        self.stunnel_port = near
        for name, text in (("far", f"[far]\naccept=127.0.0.1:{far}\nconnect=127.0.0.1:{self.source.port}\ncert={self.folder}/cert.pem\nkey={self.folder}/key.pem\n"),
                           ("near", f"[near]\nclient=yes\naccept=127.0.0.1:{near}\nconnect=127.0.0.1:{far}\n")):
            (self.folder / f"{name}.conf").write_text(f"foreground=yes\npid=\nsyslog=no\n{text}")
        self.stunnel = [self.start(["stunnel4", self.folder / f"{name}.conf"]).pid for name in ("far", "near")]
        wait_for(near)
        self.haproxy_port = free_port()
        (self.folder / "pair.pem").write_text((self.folder / "cert.pem").read_text() + (self.folder / "key.pem").read_text())
        (self.folder / "haproxy.cfg").write_text(f"""
            global
              nbthread 2
              maxconn 4000
            defaults
              mode http
              timeout connect 5s
              timeout client 60s
              timeout server 60s
            frontend f
              bind 127.0.0.1:{self.haproxy_port} ssl crt {self.folder}/pair.pem
              default_backend b
            backend b
              http-reuse always
              server s 127.0.0.1:{self.nginx_port}
            """.replace("\n            ", "\n"))
        self.haproxy = self.start(["haproxy", "-db", "-f", self.folder / "haproxy.cfg"])
        wait_for(self.haproxy_port)

    @property
    def ways(self):
        """By name: the port that a visitor connects to, and the processes that carry the bytes."""
        return {"Postern": (self.tunnel_port, [self.server.pid, self.tcp.pid]), "OpenSSH -R": (self.ssh_port, self.ssh),
                "stunnel": (self.stunnel_port, self.stunnel)}

    @property
    def webs(self):
        return {"Postern": (self.https, [self.server.pid, self.http.pid]),
                "nginx": (self.proxy_port, [self.nginx_proxy.pid, *children(self.nginx_proxy.pid)]),
                "HAProxy": (self.haproxy_port, [self.haproxy.pid])}


def download(port, pids):
    """Megabytes in a second, and seconds of CPU for a gigabyte."""
    before, start, count = cpu(pids), time.perf_counter(), 0
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"B")
        while got := visitor.recv_into(buffer):
            count += got
    assert count == BULK, count
    return BULK / 1e6 / (time.perf_counter() - start), (cpu(pids) - before) / (BULK / 1e9)


def echo(port, pids, rounds=2000):
    """Microseconds of a byte there and back: median and 99th percentile."""
    took = []
    with socket.create_connection(("127.0.0.1", port)) as visitor:
        visitor.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        visitor.sendall(b"E")
        for _ in range(rounds):
            start = time.perf_counter()
            visitor.sendall(b"x")
            visitor.recv(1)
            took.append(time.perf_counter() - start)
    took.sort()
    return took[len(took) // 2] * 1e6, took[len(took) * 99 // 100] * 1e6


def requests(port, pids, connections=32, name=f"bench.{DOMAIN}", path="/page"):
    """Requests in a second, their 99th percentile in ms, and microseconds of CPU each. wrk resolves no names: the host is in /etc/hosts
    only for who runs as root, so that it asks by a header; the name in TLS is the address's."""
    before = cpu(pids)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-H", f"Host: {name}", f"https://{name}:{port}{path}"],
        capture_output=True, text=True).stdout
    count = int(re.search(r"(\d+) requests in", out).group(1))
    assert "Non-2xx" not in out, out
    worst = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    milliseconds = float(worst.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[worst.group(2)]
    return count / SECONDS, milliseconds, (cpu(pids) - before) * 1e6 / count


def downloads(bench, rate=None):
    """Eight of 256 MiB by name, each at most this many bytes a second."""
    limit = ["--limit-rate", str(int(rate))] if rate else []
    return [subprocess.Popen(
        ["curl", "-s", *limit, "--cacert", str(bench.folder / "ca.pem"), "--resolve", f"bench.{DOMAIN}:{bench.https}:127.0.0.1",
         "-o", "/dev/null", f"https://bench.{DOMAIN}:{bench.https}/bulk"]) for _ in range(8)]


def carried(bench):
    """What the link carries for eight downloads at once, in bytes a second."""
    start = time.perf_counter()
    for one in downloads(bench):
        one.wait()
    return 8 * (256 << 20) / (time.perf_counter() - start)


def beside_bulk(bench, rate):
    """The 99th percentile of a small request alone, and beside eight downloads that together take half of what the link carries."""
    def small():
        # Its own place in the queue for a core is not what is measured.
        usual = os.sched_getscheduler(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        try:
            return ask()
        finally:
            os.sched_setscheduler(0, usual, os.sched_param(0))

    def ask():
        context = ssl.create_default_context(cafile=bench.folder / "ca.pem")
        took = []
        with context.wrap_socket(socket.create_connection(("127.0.0.1", bench.https)), server_hostname=f"bench.{DOMAIN}") as visitor:
            for _ in range(1000):
                start = time.perf_counter()
                visitor.sendall(f"GET /page HTTP/1.1\r\nHost: bench.{DOMAIN}\r\n\r\n".encode())
                data = b""
                while not data.endswith(b"x" * 1024):
                    data += visitor.recv(65536)
                took.append(time.perf_counter() - start)
        took.sort()
        return took[len(took) * 99 // 100] * 1e3
    alone = small()
    bulk = downloads(bench, rate / 2 / 8)
    time.sleep(1)
    beside = small()
    for one in bulk:
        one.kill()
        one.wait()
    return alone, beside


def rows(ways, measure):
    """Medians of interleaved runs, by way."""
    figures = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, (port, pids) in ways.items():
            figures[name].append(measure(port, pids))
    return {name: [statistics.median(column) for column in zip(*found)] for name, found in figures.items()}


def idle(bench):
    """KiB of the server for each idle link, and for each idle tunnel on one link; requests a second by the number of tunnels."""
    import types
    from test_link import CALL, Machine, WELCOME
    import urllib.request
    edge = types.SimpleNamespace(port=bench.https)

    def post(name):
        request = urllib.request.Request(f"https://127.0.0.1:{bench.https}/tunnels", json.dumps({"kind": "http", "name": name}).encode(),
                                         method="POST", headers={"Authorization": f"Bearer {bench.token}"})
        return json.load(urllib.request.urlopen(request, context=ssl._create_unverified_context()))["id"]

    def links(count):
        made = []
        for _ in range(count):
            machine = Machine(edge, bench.token)
            machine.expect(WELCOME)
            made.append(machine)
        return made

    # What the first ones cost once is not theirs.
    first = links(50)
    before = rss(bench.server.pid)
    count = 100 if QUICK else 400
    more = links(count)
    per_link = (rss(bench.server.pid) - before) / count
    for machine in first + more:
        machine.close()
    rate = {1: requests(bench.https, [bench.server.pid])[0]}
    machine = links(1)[0]
    count = 100 if QUICK else 999
    ids = [post(f"idle{number}") for number in range(count)]
    before = rss(bench.server.pid)
    for id in ids:
        assert machine.call(call="tunnel.start", tunnel=id) == {}
    per_tunnel = (rss(bench.server.pid) - before) / count
    rate[count + 1] = requests(bench.https, [bench.server.pid])[0]
    machine.close()
    return per_link, per_tunnel, rate


def main():
    hosts = Path("/etc/hosts")
    line = f"127.0.0.1 bench.{DOMAIN}\n"
    if line not in hosts.read_text():
        # wrk takes the name in TLS from its URL, and resolves it.
        hosts.write_text(hosts.read_text() + line)
    with Bench() as bench:
        print(f"\nTunnels; medians of {RUNS} interleaved runs. The first three rows are one TCP connection through an encrypted link.\n")
        print("| one connection | MB/s | CPU s per GB, both sides | echo p50, µs | echo p99, µs |\n|---|---|---|---|---|")
        bulk, echoes = rows(bench.ways, download), rows(bench.ways, echo)
        for name in bench.ways:
            print(f"| {name} | {bulk[name][0]:,.0f} | {bulk[name][1]:.2f} | {echoes[name][0]:.0f} | {echoes[name][1]:.0f} |")
        ours, theirs = bulk["Postern"], bulk["OpenSSH -R"]
        print(f"| Postern / OpenSSH | {ours[0] / theirs[0]:.2f} (asked ≥ 1.0) | {ours[1] / theirs[1]:.2f} (≤ 1.0) | "
              f"{echoes['Postern'][0] / echoes['OpenSSH -R'][0]:.2f} (≤ 1.0) | {echoes['Postern'][1] / echoes['OpenSSH -R'][1]:.2f} |", flush=True)
        print("\n| requests by name, 1 KiB, TLS, 32 connections | /s | p99, ms | CPU µs each |\n|---|---|---|---|")
        web = rows(bench.webs, requests)
        for name, figures in web.items():
            print(f"| {name} | {figures[0]:,.0f} | {figures[1]:.2f} | {figures[2]:.0f} |")
        print(f"| Postern / nginx | {web['Postern'][0] / web['nginx'][0]:.2f} (asked ≥ 0.4) | {web['Postern'][1] / web['nginx'][1]:.2f} (≤ 3) | "
              f"{web['Postern'][2] / web['nginx'][2]:.2f} |", flush=True)
        rate = carried(bench)
        found = [beside_bulk(bench, rate) for _ in range(RUNS)]
        alone, beside = (statistics.median(column) for column in zip(*found))
        print(f"\n| a small request | p99, ms |\n|---|---|\n| alone | {alone:.2f} |\n| beside eight downloads, together {rate / 2e6:,.0f} MB/s, half of what the link carries | "
              f"{beside:.2f} ({beside / alone:.1f} times; asked ≤ 2) |", flush=True)
        per_link, per_tunnel, rate = idle(bench)
        print(f"\n| idle | KiB of the server |\n|---|---|\n| a link | {per_link:.1f} |\n| a tunnel | {per_tunnel:.1f} (asked ≤ 20) |")
        print("\n| tunnels that are connected | requests/s to one of them |\n|---|---|")
        for count, figure in rate.items():
            print(f"| {count:,} | {figure:,.0f} |")


if __name__ == "__main__":
    main()
