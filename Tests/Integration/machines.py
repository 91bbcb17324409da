"""Enrolled machines and their agents."""

import json
import subprocess

import pytest

from conftest import PATIENCE, POSTERN, clean_environment, wait_for


class Machine:
    """A machine with a state directory of its own, as `--state` names it."""

    def __init__(self, directory, environment=None):
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state = directory / "state"
        self.settings = directory / "agent.yml"
        self.settings.write_text("")
        self.environment = {**clean_environment(), "HOME": str(directory), **(environment or {})}
        self.agent = None

    def run(self, *arguments, state=True, **options):
        command = [POSTERN, *arguments] + (["--state", str(self.state)] if state else [])
        return subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, **options)

    def enroll(self, server, *arguments, code=None):
        return self.run(
            "machine", "enroll", server.url, *([code] if code else []), "--fingerprint", server.fingerprint, "--json", *arguments)

    def start(self, settings=None):
        """The agent, until it is connected."""
        self.begin(settings)
        wait_for(lambda: self.status().get("isOnline"), "a connected agent")
        return self

    def begin(self, settings=None):
        if settings is not None:
            self.settings.write_text(settings)
        self.log = open(self.directory / "agent.log", "a")
        self.agent = subprocess.Popen(
            [POSTERN, "agent", "--state", str(self.state), "--settings", str(self.settings)], env=self.environment,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        return self

    def status(self):
        answer = self.run("machine", "status", "--json")
        return json.loads(answer.stdout) if answer.stdout else {}

    def tunnel(self, label):
        return next((one for one in self.status().get("tunnels", []) if one["label"] == label), {})

    def online(self, label):
        """The tunnel's host, when it is served."""
        wait_for(lambda: self.tunnel(label).get("state") == "online", f"tunnel {label} of {self.text()}")
        return self.tunnel(label)["url"].split("://")[1].split(":")[0]

    def text(self):
        return (self.directory / "agent.log").read_text()

    def stop(self, how="terminate"):
        if self.agent:
            if self.agent.poll() is None:
                getattr(self.agent, how)()
            status = self.agent.wait(PATIENCE)
            self.log.close()
            self.agent = None
            return status


@pytest.fixture
def machines(tmp_path):
    """Makes machines, and ends their agents."""
    made = []

    def make(name="box", environment=None):
        machine = Machine(tmp_path / f"machine-{name}", environment)
        made.append(machine)
        return machine

    yield make
    for machine in made:
        machine.stop("kill")


def invite(user):
    """A code that enrols one machine."""
    status, answer = user.call("POST", "/machines/invitations")
    assert status == 201, answer
    return answer["code"]


def enrolled(server, user, machine, *arguments):
    answer = machine.enroll(server, *arguments, code=invite(user))
    assert answer.returncode == 0, answer.stderr
    machine.resource = json.loads(answer.stdout)
    return machine


def found(user, machine):
    """The machine as the API shows it."""
    status, answer = user.call("GET", f"/machines/{machine.resource['id']}")
    assert status == 200, answer
    return answer


def events(user, action):
    """Audit events of the user's own organisation, newest first."""
    status, answer = user.call("GET", f"/organisations/{user.id}/audit?action={action}")
    assert status == 200, answer
    return answer
