"""The Debian package on a fresh machine, under a real systemd: install, use, upgrade, remove, reinstall, purge."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import ROOT, package, wait_for
from turns import short, turns
from wedge import Wedge


def health(machine):
    return machine.run("curl", "-sk", "--max-time", "20", "https://localhost/health", check=False).stdout


def test_install_use_upgrade_remove_reinstall_purge(machine, deb):
    old = package("0.0.9")
    machine.install(old)
    assert '"status":"ok"' in health(machine)
    # Everything that belongs to the service is the service's, and nobody else's to read.
    assert machine.out("stat", "-c", "%U %a", "/var/lib/postern") == "postern 700"
    made = json.loads(machine.out("postern", "user", "add", "ana", "--json"))
    assert machine.out("stat", "-c", "%U", "/var/lib/postern/postern.db-wal") == "postern"
    token = made["token"]
    me = ["curl", "-sk", "-H", f"Authorization: Bearer {token}", "https://localhost/auth/me"]
    assert json.loads(machine.out(*me))["username"] == "ana"
    # http sends people to https.
    assert "308" in machine.out("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost/x")

    # An edited configuration survives, the data survives, and there is one restart.
    machine.run("sh", "-c", "echo 'joins-per-minute: 61' >> /etc/postern/postern.yml")
    started = machine.show("ExecMainStartTimestampMonotonic")
    machine.install(deb)
    assert machine.show("ExecMainStartTimestampMonotonic") != started and machine.show("NRestarts") == "0"
    assert json.loads(machine.out(*me))["username"] == "ana"
    assert "joins-per-minute         61" in machine.out("postern", "config", "show")

    # The maintainer scripts may run any number of times.
    machine.run("dpkg-reconfigure", "postern")
    machine.run("dpkg-reconfigure", "postern")
    assert '"status":"ok"' in health(machine)

    machine.run("apt-get", "remove", "-y", "postern")
    assert machine.show("ActiveState") == "inactive" and health(machine) == ""
    assert machine.out("stat", "-c", "%U", "/var/lib/postern/postern.db")
    machine.install(deb)
    assert json.loads(machine.out(*me))["username"] == "ana"

    machine.run("apt-get", "purge", "-y", "postern")
    assert machine.run("ls", "/var/lib/postern", check=False).returncode != 0
    assert machine.run("ls", "/etc/postern", check=False).returncode != 0
    assert machine.out("sh", "-c", "dpkg -L postern 2>/dev/null | wc -l") == "0"
    assert "postern" not in machine.out("systemctl", "list-unit-files", "--no-pager")


def test_from_install_to_a_friend_in_the_terminal(machine, deb):
    """Three commands on the server, one for the host, and a link for the friend, who was never signed in."""
    # As Debian's installer does: a machine knows its own name.
    machine.run("sh", "-c", "echo 127.0.1.1 $(hostname) >> /etc/hosts")
    start = time.monotonic()
    machine.install(deb)
    added = machine.out("postern", "user", "add", "ana")
    token = re.search(r"^token +(\S+)", added, re.M).group(1)
    login = re.search(r"^ +(postern login .*)$", added, re.M).group(1)
    assert "--fingerprint sha256:" in login
    machine.run("sh", "-c", f"echo {token} | HOME=/home/ana {login}")
    share = machine.start("sh", "-c", "HOME=/home/ana postern share --json -- sh -c 'read word; echo got $word'")
    try:
        link = json.loads(share.stdout.readline())["codes"][0]["url"]
        joined = machine.run("sh", "-c", f"echo hello | HOME=/home/ben postern join '{link}'")
        print(f"from apt install to a friend's word in the terminal: {time.monotonic() - start:.1f} s")
        assert "got hello" in joined.stdout
        # The same link is a page, with everything that a browser needs.
        page = machine.out("curl", "-sk", link.split("#")[0])
        script = re.search(r'src="(/web/[^"]+/guest.js)"', page).group(1)
        assert "GuestEngine" in machine.out("curl", "-sk", "--compressed", "https://localhost" + script)
    finally:
        share.kill()
        share.communicate()


def files(machine):
    """Every file and directory of the machine but for what changes by itself."""
    return set(machine.out(
        "find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", "-o", "-path", "/run", "-o", "-path", "/tmp", "-o",
        "-path", "/var/tmp", "-o", "-path", "/var/cache", "-o", "-path", "/var/lib/apt", "-o", "-path", "/var/lib/dpkg", "-o",
        "-path", "/var/log", "-o", "-path", "/dev", ")", "-prune", "-o", "-print").splitlines())


def test_purging_leaves_nothing_that_was_not_there_before(machine, deb):
    # What apt's first run makes, and what the package needs, is not the package's.
    machine.install(deb)
    machine.run("apt-get", "purge", "-y", "postern")
    before = files(machine)
    machine.install(deb)
    health(machine)
    machine.run("apt-get", "remove", "-y", "postern")
    for _ in range(2):
        machine.run("dpkg", "--purge", "postern")
    left = files(machine) - before
    assert not [name for name in left if not name.startswith("/var/lib/systemd/deb-systemd")], left


SOURCES = ROOT / "Sources/Storage/Migrations"


def test_an_upgrade_from_0_2_brings_its_database_along(machine, deb):
    """The schema that 0.2 had, with an account and its token in it, and none of the keys that came later."""
    machine.install(package("0.2.0"))
    made = json.loads(machine.out("postern", "user", "add", "ana", "--json"))
    machine.run("systemctl", "stop", "postern-http.socket", "postern.socket", "postern.service")
    state = machine.directory / "var/lib/postern"
    with sqlite3.connect(state / "postern.db") as now:
        user = now.execute("SELECT id, username, created_at FROM users").fetchone()
        token = now.execute("SELECT id, user_id, name, digest, created_at, revoked_at FROM api_tokens").fetchone()
    now.close()
    owner = (state / "postern.db").stat()
    for path in state.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    with sqlite3.connect(state / "postern.db") as old:
        for name in ("FirstTables", "ApplianceTables"):
            old.executescript(re.search(r'script: """(.*?)"""', (SOURCES / f"{name}.swift").read_text(), re.S).group(1))
        old.execute("INSERT INTO users VALUES (?, ?, NULL, 'free', 1, ?)", user)
        old.execute("INSERT INTO api_tokens VALUES (?, ?, ?, ?, ?, ?)", token)
        old.execute("PRAGMA user_version = 2")
    old.close()
    os.chown(state / "postern.db", owner.st_uid, owner.st_gid)
    (state / "postern.db").chmod(0o600)
    machine.install(deb)
    assert '"status":"ok"' in health(machine)
    me = machine.out("curl", "-sk", "-H", f"Authorization: Bearer {made['token']}", "https://localhost/auth/me")
    assert json.loads(me)["username"] == "ana"
    assert machine.out("stat", "-c", "%U %a", "/var/lib/postern/postern.db.version-2") == "postern 600"


class Session:
    """A lossless share that counts, and a guest that reads, both in the machine's network."""

    # Raw, so that what is written is what arrives; it begins when the guest is there.
    COUNT = "stty raw -echo; read go; i=0; until [ -e {stop} ]; do i=$((i+1)); echo $i; sleep 0.01; done; echo end; sleep 1"

    def __init__(self, machine, tmp_path, stop):
        token = json.loads(machine.out("postern", "user", "add", "ana", "--json"))["token"]
        pin = json.loads(machine.out("postern", "cert", "status", "--json"))["fingerprint"]
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": {
            **os.environ, "POSTERN_URL": "https://localhost", "POSTERN_TOKEN": token, "POSTERN_FINGERPRINT": pin,
            "XDG_CONFIG_HOME": str(tmp_path / "config")}}
        binary = machine.directory / "usr/bin/postern"
        # A copy: the machine's own is about to be replaced.
        mine = shutil.copy(binary, tmp_path / "postern")
        self.host = machine.in_network(mine, "share", "--json", "--lossless", "--", "sh", "-c", self.COUNT.format(stop=stop), **options)
        opening = self.host.stdout.readline()
        assert opening, self.host.communicate()
        codes = json.loads(opening)["codes"]
        invitation = next(code["join"] for code in codes if code["permission"] == "control").split()[-1]
        self.guest = machine.in_network(mine, "join", invitation, **options)
        while "joined" not in (line := self.guest.stderr.readline()):
            assert line, self.guest.communicate()
        self.guest.stdin.write("go\n")
        self.guest.stdin.flush()
        self.first = self.guest.stdout.readline()

    def lines(self):
        """What the guest got, once the command has ended."""
        # Not `communicate`: it knows nothing of what `readline` has read ahead.
        out = self.first + self.guest.stdout.read()
        assert self.guest.wait() == 0, self.guest.stderr.read()
        assert self.host.wait() == 0, self.host.stderr.read()
        return out.split()

    def close(self):
        for process in (self.host, self.guest):
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()


def test_an_upgrade_under_load_refuses_no_connection_and_no_session_loses_a_line(machine, deb, tmp_path, request):
    machine.install(package("0.2.0"))
    stop = tmp_path / "stop"
    session = Session(machine, tmp_path, stop)
    request.addfinalizer(session.close)
    # However this ends, so do they.
    request.addfinalizer(stop.touch)
    clients = [machine.in_network(sys.executable, "-c", LOAD, stop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(3)]
    opened = machine.show("ActiveEnterTimestampMonotonic", "postern.socket")
    said = machine.install(deb)
    assert '"status":"ok"' in health(machine)
    stop.touch()
    *counted, end = session.lines()
    assert end == "end" and len(counted) > 100 and counted == [str(number + 1) for number in range(len(counted))]
    for client in clients:
        out, error = client.communicate()
        assert int(out.split()[0]) > 0 and int(out.split()[1]) == 0, (out, error)
    # The ports were never closed.
    assert machine.show("ActiveEnterTimestampMonotonic", "postern.socket") == opened
    assert "Could not execute" not in said, said
    assert "refusing" not in machine.out("journalctl", "--no-pager", "-o", "cat", "-u", "postern.socket", "-u", "postern-http.socket")


def test_links_name_the_port_that_systemd_holds(machine, deb):
    machine.install(deb)
    machine.run("sh", "-c", "echo 'tls-names: [box.test]' >> /etc/postern/postern.yml; systemctl restart postern")
    wait_for(lambda: "https://box.test/setup/" in machine.journal(), machine.journal)
    assert machine.out("postern", "setup").startswith("https://box.test/setup/")
    assert machine.out("cat", "/var/lib/postern/setup-link").startswith("https://box.test/setup/")


def test_the_first_request_starts_the_service(machine, deb):
    machine.install(deb)
    machine.run("systemctl", "stop", "postern.service")
    assert machine.show("ActiveState") == "inactive"
    assert '"status":"ok"' in health(machine)
    assert machine.show("ActiveState") == "active"


def test_status_reload_and_hardening(machine, deb):
    machine.install(deb)
    status = machine.run("systemctl", "status", "postern", "--no-pager").stdout
    assert re.search(r'Status: "0 sessions, 0 guests, certificate valid for \d+ days"', status)
    # The journal has the time already.
    machine.run("sh", "-c", "echo 'log-level: debug' >> /etc/postern/postern.yml")
    machine.run("systemctl", "reload", "postern")
    wait_for(lambda: "msg=reloaded changed=log-level" in machine.journal(), "the reload")
    assert "time=" not in machine.journal()
    assert machine.show("ActiveState") == "active"
    # A process that is stopped cannot answer: the reload takes until it goes on, long enough to look.
    machine.run("sh", "-c", f"kill -STOP {machine.show('MainPID')}")
    machine.run("systemctl", "reload", "--no-block", "postern")
    shown = lambda: machine.run("systemctl", "status", "postern", "--no-pager", check=False).stdout
    wait_for(lambda: "Active: reloading (" in shown(), shown)
    machine.run("sh", "-c", f"kill -CONT {machine.show('MainPID')}")
    wait_for(lambda: "Active: active (running)" in shown(), shown)
    score = machine.out("systemd-analyze", "security", "postern", "--no-pager").splitlines()[-1]
    print("\n" + score)
    assert float(re.search(r": ([\d.]+) ", score).group(1)) <= 1.5
    assert machine.show("NRestarts") == "0"
    pid = wait_for(machine.pid, "the process")
    wait_for(lambda: turns(pid)[0] == {short()}, lambda: turns(pid))
    # The kernel agrees that there is no privilege.
    assert "CapEff:\t0000000000000000" in machine.out("cat", f"/proc/{machine.show('MainPID')}/status")


def test_a_mistake_in_the_configuration_is_named_in_the_journal(machine, deb):
    machine.install(deb)
    machine.run("sh", "-c", "echo 'tls-mod: acme' >> /etc/postern/postern.yml")
    check = machine.run("postern", "config", "check", check=False)
    assert check.returncode == 1 and "did you mean 'tls-mode'?" in check.stderr
    machine.run("systemctl", "restart", "postern", check=False)
    wait_for(lambda: "unknown key 'tls-mod'; did you mean 'tls-mode'?" in machine.journal(), "the mistake")


def test_the_package_stands_behind_a_web_server_as_the_manual_says(machine, deb):
    machine.install(deb)
    manual = (ROOT / "docs/configure.md").read_text().split("## Behind a web server")[1]
    settings, commands = (re.search(rf"```{kind}\n(.*?)```", manual, re.S).group(1) for kind in ("yaml", "sh"))
    machine.run("sh", "-c", "cat >> /etc/postern/postern.yml", stdin=settings)
    machine.run("sh", "-e", "-c", commands)
    # The ports are the web server's now.
    listening = machine.out("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6")
    assert not re.search(r":(01BB|0050) \S+ 0A ", listening) and re.search(r"0100007F:1F90 \S+ 0A ", listening)
    ask = ["curl", "-s", "--max-time", "20", "http://127.0.0.1:8080/health"]
    wait_for(lambda: '"status":"ok"' in machine.run(*ask, check=False).stdout, machine.journal)
    assert machine.show("ActiveState") == "active"
    # And after a restart of the service alone.
    machine.run("systemctl", "restart", "postern")
    wait_for(lambda: '"status":"ok"' in machine.run(*ask, check=False).stdout, machine.journal)


LOAD = textwrap.dedent("""
    import http.client, os, ssl, sys
    context = ssl._create_unverified_context()
    done = failed = 0
    while not os.path.exists(sys.argv[1]):
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", 443, context=context, timeout=60)
            connection.request("GET", "/health", headers={"Connection": "close"})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
            done += 1
        except Exception as error:
            failed += 1
            print("failed:", repr(error), file=sys.stderr)
    print(done, failed)
""")


def test_restarts_under_load_refuse_no_connection(machine, deb, tmp_path):
    machine.install(deb)
    stop = tmp_path / "stop"
    clients = [machine.in_network(sys.executable, "-c", LOAD, stop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(3)]
    for _ in range(5):
        machine.run("systemctl", "restart", "postern")
    stop.touch()
    done, failed, said = 0, 0, ""
    for client in clients:
        out, error = client.communicate()
        done, failed, said = done + int(out.split()[0]), failed + int(out.split()[1]), said + error
    print(f"\n{done} requests over five restarts, {failed} failed")
    assert done > 15 and failed == 0, said


@pytest.mark.parametrize("thread", ["NIO-ELT-", "db-writer"])
def test_a_part_that_hangs_is_killed_by_the_watchdog_and_comes_back(machine, deb, thread):
    machine.install(deb)
    # The same watchdog with less patience.
    machine.run("sh", "-c", "mkdir -p /etc/systemd/system/postern.service.d; "
                "printf '[Service]\\nWatchdogSec=3\\n' > /etc/systemd/system/postern.service.d/quick.conf; "
                "systemctl daemon-reload; systemctl restart postern")
    assert machine.show("WatchdogUSec") == "3s"
    pid = wait_for(machine.pid, "the process")
    wedge = Wedge(pid, thread)
    wait_for(lambda: "watchdog" in machine.out("journalctl", "--no-pager", "-o", "cat", "-u", "postern").lower(),
             "the watchdog")
    wedge.forget()
    wait_for(lambda: machine.show("NRestarts") == "1" and machine.show("ActiveState") == "active", "the restart")
    assert '"status":"ok"' in health(machine)


def test_two_builds_of_one_commit_are_the_same_bytes(deb):
    first = deb.read_bytes()
    assert package().read_bytes() == first


def test_idle_memory_after_the_start(machine, deb):
    machine.install(deb)
    health(machine)
    rss = int(re.search(r"VmRSS:\s+(\d+)", machine.out("cat", f"/proc/{machine.show('MainPID')}/status")).group(1)) / 1024
    print(f"\nidle RSS {rss:.1f} MiB")
    assert rss <= 34 * 1e6 / (1 << 20)
