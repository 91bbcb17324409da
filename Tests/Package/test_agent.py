"""The agent of an enrolled machine, as the package installs it: off until it is enrolled, then there after every boot."""

import json
import re

from conftest import package, wait_for


def visit(machine, host="demo.t.test"):
    return machine.run(
        "curl", "-sk", "--max-time", "10", "--resolve", f"{host}:443:127.0.0.1", f"https://{host}/", check=False).stdout


def journal(machine):
    return machine.out("journalctl", "-u", "postern-agent", "--no-pager", "-o", "cat")


def test_a_machine_is_enrolled_once_and_its_tunnel_is_there_after_a_reboot_and_an_upgrade(machine, deb):
    # As Debian's installer does.
    machine.run("sh", "-c", "echo 127.0.0.1 localhost >> /etc/hosts")
    machine.install(package("0.3.0"))
    # Off, and without a word of failure.
    assert machine.run("systemctl", "is-enabled", "postern-agent", check=False).stdout.strip() == "disabled"
    assert machine.show("ActiveState", "postern-agent.service") == "inactive"
    assert machine.out("stat", "-c", "%U:%G %a", "/etc/postern-agent/agent.yml") == "root:postern-agent 640"
    machine.run("sh", "-c", "echo 'tunnel-domain: t.test' >> /etc/postern/postern.yml; systemctl restart postern")
    token = json.loads(machine.out("postern", "user", "add", "ana", "--json"))["token"]
    pin = json.loads(machine.out("postern", "cert", "status", "--json"))["fingerprint"]
    api = ["curl", "-sk", "-H", f"Authorization: Bearer {token}"]
    code = json.loads(machine.out(*api, "-X", "POST", "https://localhost/machines/invitations"))["code"]
    machine.run("sh", "-c", "mkdir -p /srv/site; echo 'hello from the attic' > /srv/site/index.html")
    machine.run("sh", "-c", "cat > /etc/postern-agent/agent.yml", stdin="tunnels:\n  site:\n    directory: /srv/site\n    name: demo\n")
    enrolled = machine.run("postern", "machine", "enroll", "https://localhost", code, "--fingerprint", pin, "--name", "attic")
    assert "Enrolled as attic" in enrolled.stdout and "Connected." in enrolled.stdout, (enrolled.stdout, enrolled.stderr)
    assert machine.out("stat", "-c", "%U %a", "/var/lib/postern-agent/machine.pem") == "postern-agent 600"
    wait_for(lambda: "hello from the attic" in visit(machine), lambda: journal(machine))
    status = machine.run("systemctl", "status", "postern-agent", "--no-pager").stdout
    assert 'Status: "connected to https://localhost; 1 of 1 tunnels online"' in status, status
    score = machine.out("systemd-analyze", "security", "postern-agent", "--no-pager").splitlines()[-1]
    print("\n" + score)
    assert float(re.search(r": ([\d.]+) ", score).group(1)) <= 1.5
    pid = machine.show("MainPID", "postern-agent.service")
    assert "CapEff:\t0000000000000000" in machine.out("cat", f"/proc/{pid}/status")
    rss = int(re.search(r"VmRSS:\s+(\d+)", machine.out("cat", f"/proc/{pid}/status")).group(1)) / 1024
    print(f"agent: RSS {rss:.1f} MiB")
    # What is served changes by the file alone.
    machine.run("sh", "-c", "echo '    list: true' >> /etc/postern-agent/agent.yml; systemctl reload postern-agent")
    wait_for(lambda: "msg=reloaded" in journal(machine), lambda: journal(machine))

    machine.reboot()
    wait_for(lambda: "hello from the attic" in visit(machine), lambda: journal(machine))

    pid = machine.show("MainPID", "postern-agent.service")
    machine.install(deb)
    assert machine.show("MainPID", "postern-agent.service") != pid
    wait_for(lambda: "hello from the attic" in visit(machine), lambda: journal(machine))
    assert "online" in machine.out("postern", "machine", "status")

    # Revoked, it says why, and goes on asking now and then.
    machine.run(*api, "-X", "DELETE", "https://localhost/machines/attic")
    wait_for(lambda: "was revoked by ana" in journal(machine), lambda: journal(machine))
    assert machine.show("ActiveState", "postern-agent.service") == "active"
    assert "revoked" in machine.run("postern", "machine", "status", check=False).stdout

    machine.run("apt-get", "remove", "-y", "postern")
    assert "postern agent" not in machine.out("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '")
    machine.run("apt-get", "purge", "-y", "postern")
    assert machine.run("ls", "/var/lib/postern-agent", check=False).returncode != 0
    assert machine.run("ls", "/etc/postern-agent", check=False).returncode != 0
