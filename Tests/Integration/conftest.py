"""A real server, real users and real clients for every test that asks for them. Nothing is left behind."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Tools"))

ROOT = Path(__file__).resolve().parents[2]
POSTERN = os.environ.get("POSTERN", str(ROOT / ".build/release/postern"))
PATIENCE = int(os.environ.get("POSTERN_PATIENCE", "60"))  # Seconds until a test that waits for an event gives up; no test measures time.


def wait_for(condition, what):
    """Polls for an event that nothing announces; fails by name."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what() if callable(what) else what}")


def clean_environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}


def make_pair(directory, *names, ocsp=None, days=20, since=0):
    """A certificate authority, and a certificate of its for these names, made so many days ago: cert.pem, key.pem. Returns the
    authority's file."""
    directory = Path(directory)
    def openssl(*arguments):
        # An hour more: faketime counts in whole seconds, and a certificate of the next second is not valid yet.
        subprocess.run(["faketime", f"-{since * 24 + 1} hours", "openssl", *arguments], check=True, capture_output=True, cwd=directory)
    if not (directory / "ca.pem").exists():
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
                "-out", "ca.pem", "-subj", "/CN=Test authority", "-days", str(days + 10))
    names = ",".join(("IP:" if re.match(r"[\d.]+$", name) else "DNS:") + name for name in names)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.next",
            "-out", "request.pem", "-subj", "/CN=test")
    (directory / "extensions").write_text(
        f"subjectAltName={names}\n" + (f"authorityInfoAccess=OCSP;URI:{ocsp}\n" if ocsp else ""))
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "cert.next", "-days", str(days), "-extfile", "extensions")
    (directory / "key.next").rename(directory / "key.pem")
    (directory / "cert.next").rename(directory / "cert.pem")
    return str(directory / "ca.pem")


class Server:
    """`postern serve` on a port that the system chose."""

    def __init__(self, state, *options, tls=False, at="127.0.0.1:0", environment=None, log=None):
        self.state = str(state)
        self.tls = tls
        self.fingerprint = None
        self.options = list(options)
        self.address = at
        self.environment = environment or {}
        self.process = None
        self.log = Path(log or self.state + ".log")

    def start(self):
        self.process = subprocess.Popen(
            [POSTERN, "serve", "--state", self.state, "--https", self.address if self.tls else "off",
             *(["--http", "off" if self.tls else self.address] if "--http" not in self.options else []),
             *self.options],
            stdout=subprocess.PIPE, stderr=self.log.open("ab"), text=True, env={**clean_environment(), **self.environment})
        line = self.process.stdout.readline()
        match = re.match(r"Postern is up: (https?://(\S+))/$", line)
        assert match, f"no start: {line!r} {self.log.read_text()}"
        self.url, self.address = match.group(1), match.group(2)
        if self.tls:
            status = subprocess.run(
                [POSTERN, "cert", "status", "--json", "--state", self.state], capture_output=True, text=True)
            self.fingerprint = json.loads(status.stdout.splitlines()[0])["fingerprint"] if status.returncode == 0 else None
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
        if self.process:
            self.process.stdout.close()

    def restart(self, how=signal.SIGTERM):
        self.stop(how)
        return self.start()

    def user(self, name, *options):
        made = subprocess.run(
            [POSTERN, "user", "add", name, "--state", self.state, "--json", *options],
            check=True, capture_output=True, text=True)
        return User(self, json.loads(made.stdout))

    def call(self, method, path, body=None, token=None, headers=None):
        """One REST call: (status, parsed body or None)."""
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            context = ssl._create_unverified_context() if self.tls else None
            with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else None

    def page(self, path):
        """What a browser gets that nobody is signed in with."""
        context = ssl._create_unverified_context() if self.tls else None
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE, context=context) as answer:
            return answer.read().decode()

    @property
    def settings(self):
        """The environment that tells an owner's verb what the server's flags told it."""
        return {**clean_environment(), **{
            "POSTERN_" + flag.removeprefix("--").upper().replace("-", "_"): value
            for flag, value in zip(self.options[::2], self.options[1::2])}}

    def rss(self):
        """Resident memory in MiB."""
        return rss(self.process.pid)


def rss(pid, field="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0


class User:
    def __init__(self, server, made):
        self.server = server
        self.id, self.name, self.token, self.tier = made["id"], made["username"], made["token"], made["tier"]

    def call(self, method, path, body=None):
        return self.server.call(method, path, body, self.token)

    @property
    def environment(self):
        pin = {"POSTERN_FINGERPRINT": self.server.fingerprint} if self.server.fingerprint else {}
        return {**clean_environment(), **pin, "POSTERN_URL": self.server.url, "POSTERN_TOKEN": self.token,
                "XDG_CONFIG_HOME": self.server.state + ".config", "PS1": "$ ", "TERM": "xterm-256color"}

    def share(self, *arguments, **options):
        return Share(self, arguments, **options)

    def join(self, invitation, *options, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        return subprocess.Popen(
            [POSTERN, "join", *options, invitation], env=self.environment, stdin=stdin, stdout=stdout,
            stderr=subprocess.PIPE)


class Share:
    """`postern share --json`: its codes, and its events as they come."""

    def __init__(self, user, arguments):
        self.process = subprocess.Popen(
            [POSTERN, "share", "--json", *arguments], env=user.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.stderr.read())
        self.opening = json.loads(line)
        self.session_id = self.opening["sessionId"]
        self.events = []

    def code(self, permission):
        return next(code for code in self.opening["codes"] if code["permission"] == permission)

    def invitation(self, permission="control"):
        return self.code(permission)["join"].split()[-1]

    def wait(self, event, **fields):
        """The next event of this kind (with these fields); other events on the way are kept."""
        # A share that never says it must not hold up all tests.
        watchdog = threading.Timer(4 * PATIENCE, self.process.kill)
        watchdog.start()
        try:
            return self._next(event, fields)
        finally:
            watchdog.cancel()

    def _next(self, event, fields):
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(f"no {event}; got {self.events}")
            found = json.loads(line)
            self.events.append(found)
            if found["event"] == event and all(found.get(key) == value for key, value in fields.items()):
                return found

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def make_server(tmp_path):
    servers = []

    def make(*options, name="state", **keywords):
        server = Server(tmp_path / name, *options, **keywords)
        servers.append(server)
        return server.start()

    yield make
    for server in servers:
        server.stop(signal.SIGKILL)
        crash = [line for line in server.log.read_text().splitlines() if "Fatal error" in line or "Crash" in line]
        assert not crash, crash


@pytest.fixture
def server(make_server):
    return make_server("--joins-per-minute", "100000", "--public-calls-per-minute", "100000")


@pytest.fixture
def ana(server):
    return server.user("ana")


@pytest.fixture
def ben(server):
    return server.user("ben")


@pytest.fixture
def shares():
    """Ends every share that a test started."""
    started = []
    yield started
    for share in started:
        share.end()


@pytest.fixture
def children():
    """Kills every process that a test started and did not wait for."""
    started = []
    yield started
    for child in started:
        if child.poll() is None:
            child.kill()
        child.wait(PATIENCE)
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                stream.close()


class Tmux:
    """A tmux server of the test's own; each pane is a real terminal of a given size."""

    def __init__(self, socket):
        self.base = ["tmux", "-u", "-S", str(socket), "-f", "/dev/null"]

    def run(self, *arguments):
        # A bare machine has no locale but this one that knows more than ASCII.
        return subprocess.run([*self.base, *arguments], check=True, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout

    def pane(self, name, command, environment, columns=80, rows=24):
        variables = [part for key in ("POSTERN_URL", "POSTERN_TOKEN", "XDG_CONFIG_HOME")
                     for part in ("-e", f"{key}={environment[key]}")]
        self.run("new-session", "-d", "-s", name, "-x", str(columns), "-y", str(rows), *variables,
                 # A shell that runs one command throws PS1 away, so that it is set behind it.
                 f"env PS1='$ ' {command}; echo STATUS=$?; exec sleep 1000")
        return Pane(self, name)


LINES = str.maketrans("`afgijklmnopqrstuvwxyz{|}~", "◆▒°±␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")


class Pane:
    def __init__(self, tmux, name):
        self.tmux, self.name = tmux, name

    def type(self, text):
        self.tmux.run("send-keys", "-t", self.name, "-l", text)

    def key(self, *names):
        self.tmux.run("send-keys", "-t", self.name, *names)

    def resize(self, columns, rows):
        self.tmux.run("resize-window", "-t", self.name, "-x", str(columns), "-y", str(rows))

    @property
    def screen(self):
        return self.tmux.run("capture-pane", "-p", "-t", self.name)

    @property
    def cells(self):
        """Text, colours, attributes and cursor: everything that can be compared."""
        cursor = self.tmux.run("display-message", "-p", "-t", self.name, "#{cursor_x},#{cursor_y},#{alternate_on}")
        text = self.tmux.run("capture-pane", "-e", "-p", "-t", self.name)
        # One glyph, two spellings: the DEC line-drawing set, and Unicode's box drawing.
        return re.sub("\x0e([^\x0f]*)\x0f", lambda run: run.group(1).translate(LINES), text), cursor

    @property
    def title(self):
        return self.tmux.run("display-message", "-p", "-t", self.name, "#{pane_title}")

    def wait(self, text):
        return wait_for(lambda: text in self.screen and self.screen, lambda: f"{text!r} in pane {self.name}:\n{self.screen}")


@pytest.fixture
def tmux(tmp_path):
    tmux = Tmux(tmp_path / "tmux")
    yield tmux
    subprocess.run([*tmux.base, "kill-server"], capture_output=True)
