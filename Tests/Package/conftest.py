"""Fresh Debian 12 machines: a debootstrap root each, booted with a real systemd in a container of its own network."""

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Tools"))

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / ".build/debian-root"
PACKAGES = "systemd,systemd-sysv,dbus,curl,ca-certificates,procps"
NUMBERS = itertools.count()
PATIENCE = int(os.environ.get("POSTERN_PATIENCE", "90"))


def wait_for(condition, what):
    """Polls for an event that nothing announces; fails by name."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what() if callable(what) else what}")


def package(version=None):
    """Builds dist/…deb (of another version, where one is asked for) and returns its path."""
    environment = dict(os.environ, **({"POSTERN_DEB_VERSION": version} if version else {}))
    done = subprocess.run([ROOT / "scripts/deb"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / done.stdout.split(":")[0]


class Unbootable(Exception):
    """The system refuses containers altogether, which says nothing about the package."""


class Machine:
    def __init__(self, directory):
        self.directory = directory
        self.console = open(str(directory) + ".console", "wb")
        self.boot()

    def boot(self):
        # The console never becomes a terminal of ours, and `timeout` ends what a killed test left behind.
        self.process = subprocess.Popen(
            ["timeout", "900", "systemd-nspawn", "--quiet", "--boot", "-D", self.directory, "--register=no", "--keep-unit",
             # A name of its own: machines of one name wait for each other.
             "--private-network", "--console=pipe", f"--machine=postern-{os.getpid()}-{next(NUMBERS)}"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        self.leader = None
        wait_for(self._booted, lambda: "the boot: " + Path(self.console.name).read_text(errors="replace")[-2000:])

    def _booted(self):
        if self.process.poll() is not None:
            raise Unbootable(Path(self.console.name).read_text(errors="replace")[-500:])
        # nspawn has helpers of its own before there is the machine's first process.
        nspawn = children(self.process.pid)
        leaders = [pid for pid in (children(nspawn[0]) if nspawn else []) if command(pid) == "systemd"]
        if not leaders:
            return False
        self.leader = leaders[0]
        state = self.run("systemctl", "is-system-running", check=False)
        return state.stdout.strip() in ("running", "degraded")

    def reboot(self):
        """Off as its owner would turn it off, and on again: nspawn's own reboot does not work in a container of ours."""
        self.run("systemctl", "--no-block", "poweroff", check=False)
        self.process.wait(PATIENCE)
        self.boot()

    def run(self, *command, check=True, stdin=""):
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w",
             "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *map(str, command)],
            input=stdin, capture_output=True, text=True)
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def start(self, *command):
        """A program of the container that goes on."""
        return subprocess.Popen(
            ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "env", "LC_ALL=C.UTF-8", *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def out(self, *command):
        return self.run(*command).stdout.strip()

    def show(self, what, unit="postern.service"):
        return self.out("systemctl", "show", "--value", "-p", what, unit)

    def install(self, deb):
        target = self.directory / deb.name
        shutil.copy(deb, target)
        done = self.run("apt-get", "install", "-y", "--no-install-recommends", f"/{deb.name}")
        return done.stdout + done.stderr

    def in_network(self, *command, **options):
        """A program of this machine in the container's network."""
        return subprocess.Popen(["nsenter", "-t", str(self.leader), "-n", *map(str, command)], **options)

    def pid(self):
        """The service's process as this machine numbers it."""
        inside = self.show("MainPID")
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = [line.split()[1:] for line in status.read_text().splitlines() if line.startswith("NSpid:")][0]
            except (OSError, IndexError):
                continue
            if len(numbers) == 2 and numbers[1] == inside and (status.parent / "comm").read_text().strip() == "postern":
                return int(numbers[0])
        return None

    def journal(self):
        return self.out("journalctl", "-u", "postern", "--no-pager", "-o", "cat")

    def close(self):
        """Kills the machine as a power cut would; nspawn ends with it and clears up."""
        if self.leader:
            os.kill(self.leader, 9)
        else:
            self.process.terminate()
        self.process.wait(PATIENCE)
        self.console.close()


def command(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(one) for one in found]


@pytest.fixture(scope="session")
def base():
    if os.geteuid() != 0:
        pytest.skip("booting a machine needs root")
    if not (BASE / "ready").exists():
        shutil.rmtree(BASE, ignore_errors=True)
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", BASE, "http://deb.debian.org/debian"],
            capture_output=True, text=True)
        if made.returncode != 0:
            pytest.skip(f"no fresh Debian can be made here: {made.stdout[-300:]}")
        (BASE / "ready").touch()
    return BASE


@pytest.fixture
def machine(base, tmp_path):
    directory = tmp_path / "machine"
    subprocess.run(["cp", "-a", "--reflink=auto", base, directory], check=True)
    try:
        machine = Machine(directory)
    except Unbootable as reason:
        pytest.skip(f"no container can be started here: {reason}")
    yield machine
    machine.close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def deb():
    return package()
