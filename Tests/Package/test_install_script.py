"""`curl …/install.sh | sudo sh -s -- CODE` on a machine without the package: its service is there after a reboot."""

import json
import shutil
import subprocess

from conftest import ROOT, wait_for

SERVE = ("systemd-run --quiet --unit=server /opt/postern serve --state /opt/state --https 127.0.0.1:443 --tunnel-domain t.test"
         " --tls-mode files --tls-certificate /opt/cert.pem --tls-key /opt/key.pem")


def serve(machine):
    machine.run(*SERVE.split())
    wait_for(lambda: machine.run("curl", "-fs", "https://localhost/health", check=False).returncode == 0,
             lambda: machine.out("journalctl", "-u", "server", "--no-pager", "-o", "cat"))


def visit(machine):
    return machine.run("curl", "-sk", "--max-time", "10", "--resolve", "demo.t.test:443:127.0.0.1", "https://demo.t.test/", check=False).stdout


def journal(machine):
    return machine.out("journalctl", "-u", "postern-agent", "--no-pager", "-o", "cat")


def test_a_machine_without_the_package_is_enrolled_by_one_line(machine, deb):
    files = machine.directory / "opt"
    # `deb` has built it; the package itself is not installed here.
    shutil.copy(ROOT / "dist/postern", files)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", files / "key.pem", "-out", files / "cert.pem"],
                   check=True, capture_output=True)
    shutil.copy(files / "cert.pem", machine.directory / "usr/local/share/ca-certificates/own.crt")
    machine.run("sh", "-c", "echo 127.0.0.1 localhost >> /etc/hosts; update-ca-certificates; ip link set lo up 2>/dev/null; true")
    serve(machine)
    token = json.loads(machine.out("/opt/postern", "user", "add", "ana", "--state", "/opt/state", "--json"))["token"]
    code = json.loads(machine.out("curl", "-fs", "-X", "POST", "-H", f"Authorization: Bearer {token}",
                                  "https://localhost/machines/invitations"))["code"]
    done = machine.run("sh", "-c", f"curl -fsSL https://localhost/install.sh | sh -s -- {code} --name attic")
    assert "Installed: /usr/local/bin/postern" in done.stdout and "Connected." in done.stdout, (done.stdout, done.stderr)
    assert machine.show("ExecStart", "postern-agent.service").count("/usr/local/bin/postern")
    assert machine.out("systemctl", "is-enabled", "postern-agent") == "enabled"
    assert machine.show("User", "postern-agent.service") == "postern-agent"
    machine.run("sh", "-c", "mkdir -p /srv/site; echo 'hello from the attic' > /srv/site/index.html;"
                "printf 'tunnels:\\n  site:\\n    directory: /srv/site\\n    name: demo\\n' > /etc/postern-agent/agent.yml; systemctl reload postern-agent")
    wait_for(lambda: "hello from the attic" in visit(machine), lambda: journal(machine))
    machine.reboot()
    machine.run("sh", "-c", "ip link set lo up 2>/dev/null; true")
    serve(machine)
    wait_for(lambda: "hello from the attic" in visit(machine), lambda: journal(machine))
    # Once more: the program is the same, and the machine stays enrolled.
    again = machine.run("sh", "-c", "curl -fsSL https://localhost/install.sh | sh")
    assert "This machine is enrolled" in again.stdout, again.stdout
    wait_for(lambda: "hello from the attic" in visit(machine), lambda: journal(machine))
    # What is refused leaves the machine as it was.
    refused = machine.run("sh", "-c", "curl -fsSL https://localhost/install.sh | sh -s -- dhk96twf-uav3jxfh", check=False)
    assert refused.returncode == 1 and "There is no such code" in refused.stderr, (refused.stdout, refused.stderr)
    assert "online" in machine.out("/usr/local/bin/postern", "machine", "status") and "hello from the attic" in visit(machine)
