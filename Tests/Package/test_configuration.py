"""Settings that the packaged unit does not allow by itself: said by `config check`, mended by `config apply`."""

import re

from conftest import wait_for

SELF_MADE = ("mkdir -p /etc/letsencrypt/live/box; chmod 700 /etc/letsencrypt/live; cd /etc/letsencrypt/live/box;"
             "openssl req -x509 -newkey rsa:2048 -nodes -keyout privkey.pem -out fullchain.pem -days 9 -subj /CN=box.test"
             " -addext subjectAltName=DNS:box.test; chmod 600 privkey.pem")
FILES = "tls-mode: files\ntls-certificate: /etc/letsencrypt/live/box/fullchain.pem\ntls-key: /etc/letsencrypt/live/box/privkey.pem\n"
DROP_IN = "/etc/systemd/system/postern.service.d/50-configuration.conf"


def configure(machine, text):
    machine.run("sh", "-c", "cat > /etc/postern/postern.yml; chgrp postern /etc/postern/postern.yml; chmod 640 /etc/postern/postern.yml",
                stdin=text)


def check(machine):
    done = machine.run("postern", "config", "check", check=False)
    return done.returncode, done.stdout + done.stderr


def apply_and_restart(machine):
    applied = machine.run("postern", "config", "apply").stdout
    machine.run("systemctl", "restart", "postern")
    assert machine.show("ActiveState") == "active"
    assert check(machine)[0] == 0, check(machine)
    return applied


def test_what_the_unit_forbids_is_said_and_applied(machine, deb):
    machine.run("sh", "-c", "apt-get install -y --no-install-recommends openssl")
    machine.install(deb)
    assert check(machine)[0] == 0
    assert "nothing has changed" in machine.out("postern", "config", "apply")

    shown = machine.out("postern", "config", "show")
    assert re.search(r"^https +\S*:443 +\(postern.socket\)$", shown, re.M) and re.search(r"^http +\S*:80 +\(postern-http.socket\)$", shown, re.M), shown

    # Backups elsewhere, in a directory that is not there yet.
    configure(machine, "backup-directory: /srv/safe/backups\n")
    status, text = check(machine)
    assert status == 1 and "line 1: postern.service may not write to /srv/safe/backups; run 'sudo postern config apply' to allow it" in text, text
    applied = apply_and_restart(machine)
    assert "created /srv/safe/backups for the user postern" in applied and "systemctl restart postern" in applied, applied
    assert machine.out("stat", "-c", "%U:%G %a", "/srv/safe/backups") == "postern:postern 700"
    wait_for(lambda: machine.run("sh", "-c", "ls /srv/safe/backups/*.db", check=False).returncode == 0, "a backup there")

    # Another state, and where no service may go.
    configure(machine, "state: /home/postern\n")
    status, text = check(machine)
    assert status == 1 and "cannot access /home/postern" in text, text
    assert "cannot access" in machine.run("postern", "config", "apply", check=False).stderr
    machine.run("sh", "-c", "mkdir /srv/taken")
    configure(machine, "state: /srv/taken\n")
    assert "chown -R postern: /srv/taken" in machine.run("postern", "config", "apply", check=False).stderr
    configure(machine, "state: /srv/postern\n")
    assert check(machine)[0] == 1
    apply_and_restart(machine)
    machine.run("ls", "/srv/postern/postern.db")

    # A certificate that only root can read.
    machine.run("sh", "-c", SELF_MADE)
    configure(machine, FILES)
    status, text = check(machine)
    assert status == 1 and "permission denied for the user postern; run 'sudo postern config apply'" in text, text
    assert "deploy-hook" in apply_and_restart(machine)
    wait_for(lambda: machine.run("curl", "-fsk", "https://127.0.0.1/health", check=False).returncode == 0, "an answer")
    assert "CN = box.test" in machine.out("sh", "-c", "openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -subject")
    # A file that was exchanged in the configuration alone.
    configure(machine, FILES.replace("live/box/privkey", "live/box/other"))
    machine.run("cp", "/etc/letsencrypt/live/box/privkey.pem", "/etc/letsencrypt/live/box/other.pem")
    status, text = check(machine)
    assert status == 1 and "tls-key has changed, and postern.service still uses" in text, text

    # A service that does not start says why in `doctor`, in the journal's words.
    configure(machine, "backup-directory: /srv/gone\n")
    machine.run("sh", "-c", f"sed -i 's,^LoadCredential.*,ReadWritePaths=/srv/gone,' {DROP_IN}; systemctl daemon-reload")
    machine.run("systemctl", "restart", "postern", check=False)
    told = machine.run("postern", "doctor", check=False).stdout
    assert "BAD service: postern.service is" in told and "Failed at step NAMESPACE" in told, told

    # Without such settings the drop-in goes.
    configure(machine, "")
    assert f"removed {DROP_IN}" in machine.out("postern", "config", "apply")
    machine.run("sh", "-c", "systemctl reset-failed; systemctl restart postern")
    assert machine.show("ActiveState") == "active"
    assert check(machine)[0] == 0
