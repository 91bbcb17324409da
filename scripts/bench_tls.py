"""The TLS half of `make bench`: Postern beside nginx with the same certificate, ciphers and answer, interleaved in one run.

Ratios are what counts: absolute figures move by a factor of two on shared machines. CPU is of the server's processes alone.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
import ssl
import socket
from pathlib import Path

POSTERN, BENCH = os.environ["POSTERN"], os.environ["BENCH"]
QUICK = bool(os.environ.get("QUICK"))
RUNS = int(os.environ.get("RUNS", "1" if QUICK else "5"))
SECONDS = int(os.environ.get("TLS_SECONDS", "2" if QUICK else "4"))


def cpu(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Servers:
    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="postern-bench-"))
        self.state = self.folder / "state"
        self.port = free_port()
        self.postern = subprocess.Popen(
            [POSTERN, "serve", "--state", str(self.state), "--https", f"127.0.0.1:{self.port}", "--tls-names",
             "127.0.0.1,localhost", "--joins-per-minute", "1000000", "--connections-per-address", "100000"],
            stdout=subprocess.PIPE, stderr=(self.folder / "log").open("w"), text=True)
        self.postern.stdout.readline()
        # The same certificate, and the same answer from a file.
        (self.folder / "www").mkdir()
        text = urllib.request.urlopen(f"https://127.0.0.1:{self.port}/openapi.json",
                                      context=ssl._create_unverified_context()).read()
        (self.folder / "www/openapi.json").write_bytes(text)
        self.answer_bytes = len(text)
        (self.folder / "www/large").write_bytes(os.urandom(1 << 20) * 16)
        self.nginx_port = free_port()
        (self.folder / "nginx.conf").write_text(f"""
            worker_processes 2; daemon off; pid {self.folder}/pid; error_log {self.folder}/error.log;
            events {{ worker_connections 1024; }}
            http {{ access_log off; sendfile on; keepalive_requests 100000000;
              client_body_temp_path {self.folder}/t1; proxy_temp_path {self.folder}/t2; fastcgi_temp_path {self.folder}/t3;
              uwsgi_temp_path {self.folder}/t4; scgi_temp_path {self.folder}/t5;
              server {{ listen 127.0.0.1:{self.nginx_port} ssl backlog=1024; root {self.folder}/www;
                ssl_certificate {self.state}/self-signed.pem; ssl_certificate_key {self.state}/self-signed.pem;
                ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20; ssl_ecdh_curve X25519:P-256:P-384;
                ssl_session_tickets on; }} }}""")
        for path in [self.folder, self.folder / "www", *(self.folder / "www").iterdir()]:
            path.chmod(0o755)
        self.nginx = subprocess.Popen(["nginx", "-c", str(self.folder / "nginx.conf")], stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.nginx_port)).close()
                break
            except OSError:
                time.sleep(0.05)
        workers = subprocess.run(["pgrep", "-P", str(self.nginx.pid)], capture_output=True, text=True).stdout.split()
        self.peers = {"Postern": (self.port, [self.postern.pid]), "nginx": (self.nginx_port, [self.nginx.pid, *map(int, workers)])}
        made = subprocess.run([POSTERN, "user", "add", "ana", "--state", str(self.state), "--json"], check=True,
                              capture_output=True, text=True)
        self.token = json.loads(made.stdout)["token"]
        status = subprocess.run([POSTERN, "cert", "status", "--json", "--state", str(self.state)], check=True,
                                capture_output=True, text=True)
        self.fingerprint = json.loads(status.stdout)["fingerprint"]
        return self

    def __exit__(self, *_):
        for one in (self.postern, self.nginx):
            one.terminate()
            one.wait()
        shutil.rmtree(self.folder)


def handshakes(port, pids, kind):
    # s_time resumes TLS 1.2 sessions only: with 1.3 the ticket comes after it has looked.
    version = "-tls1_2" if kind == "-reuse" else "-tls1_3"
    before = cpu(pids)
    clients = [subprocess.Popen(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", kind, version, "-time", str(SECONDS)],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
    count = sum(int(re.search(r"(\d+) connections in \d+ real", client.communicate()[0]).group(1)) for client in clients)
    return count / SECONDS, (cpu(pids) - before) * 1e3 / count


def requests(port, pids, path):
    before = cpu(pids)
    out = subprocess.run(["wrk", "-t1", "-c16", f"-d{SECONDS}s", f"https://127.0.0.1:{port}{path}"], capture_output=True,
                         text=True).stdout
    count = int(re.search(r"(\d+) requests in", out).group(1))
    assert "Non-2xx" not in out, out
    return count / SECONDS, (cpu(pids) - before) * 1e3 / count


def relayed(servers, guests, size):
    """Bytes of broadcasts that reach guests over TLS: seconds of CPU per gigabyte, and gigabytes per second."""
    def post(path, body):
        request = urllib.request.Request(f"https://127.0.0.1:{servers.port}{path}", json.dumps(body).encode(), method="POST",
                                         headers={"Authorization": f"Bearer {servers.token}"})
        return json.load(urllib.request.urlopen(request, context=ssl._create_unverified_context()))
    session = post("/sessions", {"hostPublicKey": "k"})["id"]
    code = post(f"/sessions/{session}/codes", {"permission": "read"})["code"]
    rooms = servers.folder / "rooms"
    rooms.write_text(f"{session} {code}\n")
    before = cpu([servers.postern.pid])
    report = json.loads(subprocess.run(
        [BENCH, "--url", f"https://127.0.0.1:{servers.port}", "--fingerprint", servers.fingerprint, "--rooms", str(rooms),
         "--mode", "throughput", "--guests", str(guests), "--bytes", str(size), "--frames",
         str(40_000 // guests)], env={**os.environ, "POSTERN_TOKEN": servers.token}, check=True, capture_output=True,
        text=True).stdout.splitlines()[-1])
    bytes = report["deliveries"] * size
    return bytes / report["seconds"] / 1e9, (cpu([servers.postern.pid]) - before) / (bytes / 1e9), report["generatorBusy"]


def download(port, pids):
    before = cpu(pids)
    start = time.perf_counter()
    rounds = 16
    subprocess.run(["curl", "-sk", *sum((["-o", "/dev/null", f"https://127.0.0.1:{port}/large"] for _ in range(rounds)), [])], check=True)
    gigabytes = rounds * 16 * (1 << 20) / 1e9
    return gigabytes / (time.perf_counter() - start), (cpu(pids) - before) / gigabytes


def table(title, unit, cost, measure, servers):
    figures = {name: [] for name in servers.peers}
    for _ in range(RUNS):
        for name, (port, pids) in servers.peers.items():
            figures[name].append(measure(port, pids))
    median = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in figures.items()}
    ours, theirs = median["Postern"], median["nginx"]
    print(f"| {title} | {ours[0]:,.0f} {unit} | {theirs[0]:,.0f} {unit} | {ours[0] / theirs[0]:.2f} | "
          f"{ours[1]:.3f} {cost} | {theirs[1]:.3f} {cost} | {ours[1] / theirs[1]:.2f} |", flush=True)


def main():
    with Servers() as servers:
        version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip().split("/")[-1]
        print(f"\nTLS beside nginx {version}: same certificate (ECDSA P-256), ciphers and answer; medians of {RUNS} interleaved runs of "
              f"{SECONDS} s\n")
        print("| | Postern | nginx | ratio (more is better) | Postern's CPU | nginx's CPU | ratio (less is better) |")
        print("|---|---|---|---|---|---|---|")
        table("full handshakes (TLS 1.3)", "/s", "ms each", lambda port, pids: handshakes(port, pids, "-new"), servers)
        table("resumed handshakes (TLS 1.2)", "/s", "ms each", lambda port, pids: handshakes(port, pids, "-reuse"), servers)
        table(f"requests, answers of {servers.answer_bytes:,} bytes", "/s", "ms each",
              lambda port, pids: requests(port, pids, "/openapi.json"), servers)
        print("\n| bulk over TLS | GB/s | CPU s per GB | generator busy |\n|---|---|---|---|")
        port, pids = servers.peers["nginx"]
        rows = [download(port, pids) for _ in range(RUNS)]
        nginx = [statistics.median(column) for column in zip(*rows)]
        print(f"| nginx, a file of 16 MiB to curl | {nginx[0]:.2f} | {nginx[1]:.2f} | – |")
        for guests, size in ((1, 16384), (10, 16384)):
            rows = [relayed(servers, guests, size) for _ in range(RUNS)]
            ours = [statistics.median(column) for column in zip(*rows)]
            print(f"| Postern's relay, 16 KiB frames to {guests} | {ours[0]:.2f} | {ours[1]:.2f} ({ours[1] / nginx[1]:.2f} of nginx) | "
                  f"{ours[2]:.0%} |", flush=True)


if __name__ == "__main__":
    main()
