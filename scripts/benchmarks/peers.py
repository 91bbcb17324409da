"""The relays that are compared: each is started on a port of its own, loaded, and asked what it used."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

POSTERN = os.environ.get("POSTERN", "postern")
BENCH = os.environ.get("BENCH", "postern-bench")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(folder):
    """A P-256 certificate that every relay shows. Returns its fingerprint."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    if not cert.exists():
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    shown = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"],
                           check=True, capture_output=True, text=True).stdout
    return cert, key, shown.strip().split("=")[1].replace(":", "").lower()


class Peer:
    """One relay process. `dialect` is what the generator speaks to it."""

    name = dialect = binary = package = ""
    # Of the last load, where the relay has such.
    sessions = ()
    # Words before the generator's command.
    ahead = ()

    def __init__(self, tls=False):
        self.tls = tls
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.folder.chmod(0o755)
        self.fingerprint = None
        if tls:
            self.cert, self.key, self.fingerprint = certificate(self.folder)
        self.process = None
        self.port = free_port()
        try:
            self.start()
            self.wait()
        except BaseException:
            self.close()
            raise

    @classmethod
    def missing(cls):
        return None if shutil.which(cls.binary) else cls.package

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def run(self, *command, **options):
        self.process = subprocess.Popen([str(part) for part in command], stdout=options.pop("stdout", subprocess.DEVNULL),
                                        stderr=(self.folder / "log").open("w"), text=True, **options)

    def announced(self):
        """The port that the process prints once it listens."""
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"{self.name} does not start: {(self.folder / 'log').read_text()[-500:].strip() or 'it says nothing'}")
        return int(line)

    def wait(self):
        for _ in range(1200):
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen: {(self.folder / 'log').read_text()[-500:]}")

    def close(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def version(self):
        return ""

    # What it uses

    def pids(self):
        return [self.process.pid]

    def rss(self):
        """KiB of resident memory."""
        return sum(int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))
                   for pid in self.pids())

    # Loads

    def rooms(self, count):
        return "\n".join(f"r{time.monotonic_ns()}-{number}" for number in range(count))

    def done(self):
        pass

    def command(self, mode, options):
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        pin = ["--fingerprint", self.fingerprint] if self.fingerprint else []
        return [*self.ahead, BENCH, "--url", self.url, "--peer", self.dialect, "--mode", mode, *pin, *arguments,
                "--pids", ",".join(map(str, self.pids()))]

    def environment(self):
        return dict(os.environ)

    def begin(self, mode, rooms=1, **options):
        """Starts a load beside others. It says "ready" before its first message; its report is the last line of its output."""
        listed = self.folder / f"rooms-{time.monotonic_ns()}"
        listed.write_text(self.rooms(rooms) + "\n")
        return subprocess.Popen([*self.command(mode, options), "--rooms", str(listed)], env=self.environment(),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def load(self, mode, rooms=1, **options):
        process = self.begin(mode, rooms, **options)
        out, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{self.name} {mode} {options}: {errors.strip()[-300:]}")
        report = json.loads(out.splitlines()[-1])
        if "deliveries" in report:
            report["rate"] = report["deliveries"] / report["seconds"]
            report["cost"] = report["cpu"] * 1e6 / max(1, report["deliveries"])
        self.done()
        return report


class Postern(Peer):
    name, dialect, binary = "Postern", "postern", POSTERN
    # More settings for `postern serve`.
    more = ()

    def start(self):
        listen = ["--https", "off", "--http", f"127.0.0.1:{self.port}"]
        if self.tls:
            listen = ["--http", "off", "--https", f"127.0.0.1:{self.port}", "--tls-mode", "files",
                      "--tls-certificate", self.cert, "--tls-key", self.key]
        state = self.folder / "state"
        self.serve = [self.binary, "serve", "--state", state, *listen, "--joins-per-minute", "1000000",
                      "--connections-per-address", "100000", *self.more]
        self.run(*self.serve)
        self.wait()
        made = subprocess.run([self.binary, "user", "add", "ana", "--state", str(state), "--json"],
                              check=True, capture_output=True, text=True)
        self.token = json.loads(made.stdout)["token"]

    def restart(self):
        """As systemd would: told to stop, waited for, started."""
        self.process.terminate()
        self.process.wait()
        self.run(*self.serve)

    def version(self):
        return subprocess.run([self.binary, "version"], capture_output=True, text=True).stdout.split()[1]

    def environment(self):
        return {**os.environ, "POSTERN_TOKEN": self.token}

    def metric(self, name):
        with urllib.request.urlopen(self.url + "/metrics") as answer:
            return float(re.search(rf"^{name} (\S+)$", answer.read().decode(), re.M).group(1))

    def call(self, method, path, body=None):
        import ssl
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode() if body else None, method=method,
            headers={"Authorization": f"Bearer {self.token}"})
        context = ssl.create_default_context(cafile=str(self.cert)) if self.tls else None
        with urllib.request.urlopen(request, context=context) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def rooms(self, count):
        self.sessions = [self.call("POST", "/sessions", {"hostPublicKey": "k"})["id"] for _ in range(count)]
        codes = [self.call("POST", f"/sessions/{session}/codes", {"permission": "read"})["code"]
                 for session in self.sessions]
        return "\n".join(f"{session} {code}" for session, code in zip(self.sessions, codes))

    def done(self):
        # A session whose host just goes waits five minutes for it, with its ring.
        for session in self.sessions:
            self.call("DELETE", f"/sessions/{session}")


class NATS(Peer):
    name, dialect, binary, package = "NATS", "nats", "nats-server", "nats-server"

    def start(self):
        tls = f"tls {{ cert_file: '{self.cert}', key_file: '{self.key}' }}" if self.tls else "no_tls: true"
        (self.folder / "conf").write_text(
            f"listen: 127.0.0.1:{free_port()}\nmax_payload: 1MB\nmax_pending: 256MB\nmax_connections: 100000\n"
            f"websocket {{ listen: '127.0.0.1:{self.port}'\n {tls}\n compression: false }}\n")
        self.run("nats-server", "-c", self.folder / "conf")

    def version(self):
        return subprocess.run(["nats-server", "--version"], capture_output=True, text=True).stdout.split()[-1]


class Nchan(Peer):
    name, dialect, binary, package = "nginx+nchan", "bare", "nginx", "nginx-light libnginx-mod-nchan"

    @classmethod
    def missing(cls):
        return None if Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists() else cls.package

    def start(self):
        listen = f"listen 127.0.0.1:{self.port}"
        if self.tls:
            listen += f" ssl; ssl_certificate {self.cert}; ssl_certificate_key {self.key}"
        (self.folder / "conf").write_text(f"""
            load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
            worker_processes 1; daemon off; master_process off; pid {self.folder}/pid; error_log {self.folder}/errors;
            worker_rlimit_nofile 65536;
            events {{ worker_connections 50000; }}
            http {{
                access_log off; tcp_nodelay on; nchan_shared_memory_size 512m;
                client_body_temp_path {self.folder}/a; proxy_temp_path {self.folder}/b; fastcgi_temp_path {self.folder}/c;
                uwsgi_temp_path {self.folder}/d; scgi_temp_path {self.folder}/e;
                server {{
                    {listen};
                    location ~ /pub/(.+)$ {{ nchan_publisher websocket; nchan_channel_id $1;
                        nchan_message_buffer_length 2000; nchan_message_timeout 20s; }}
                    location ~ /sub/(.+)$ {{ nchan_subscriber websocket; nchan_channel_id $1;
                        nchan_subscriber_first_message newest; }}
                }}
            }}""")
        self.run("nginx", "-p", self.folder, "-c", self.folder / "conf")

    def version(self):
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.split("/")[-1].strip()


class Mosquitto(Peer):
    name, dialect, binary, package = "Mosquitto", "mqtt", "mosquitto", "mosquitto"

    def start(self):
        tls = f"certfile {self.cert}\nkeyfile {self.key}\n" if self.tls else ""
        (self.folder / "conf").write_text(
            f"listener {free_port()} 127.0.0.1\nlistener {self.port} 127.0.0.1\nprotocol websockets\n{tls}"
            "allow_anonymous true\nmax_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\nuser root\n")
        self.run("mosquitto", "-c", self.folder / "conf")

    def version(self):
        shown = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True).stdout
        return shown.split("\n")[0].split()[-1]


class NodeWS(Peer):
    name, dialect, binary, package = "node ws", "bare", "node", "nodejs node-ws"

    @classmethod
    def missing(cls):
        return None if Path("/usr/share/nodejs/ws").exists() else cls.package

    def start(self):
        environment = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
        if self.tls:
            environment |= {"CERT": str(self.cert), "KEY": str(self.key)}
        self.run("node", Path(__file__).parent / "node_ws.js", stdout=subprocess.PIPE, env=environment)
        self.port = self.announced()

    def version(self):
        node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
        package = json.loads(Path("/usr/share/nodejs/ws/package.json").read_text())["version"]
        return f"{package} on {node}"


class Before(Postern):
    """An older release of Postern in the same rounds, at the path in BEFORE."""
    name, binary = "Postern before", os.environ.get("BEFORE", "")


ALL = [Postern, *([Before] if Before.binary else []), NATS, Nchan, Mosquitto, NodeWS]
