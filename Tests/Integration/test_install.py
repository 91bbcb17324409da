"""`GET /install.sh`: a machine without Postern gets this server's own program, checked, and is enrolled."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from conftest import PATIENCE, POSTERN, make_pair
from machines import machines  # noqa: F401


@pytest.fixture
def trusted(make_server, tmp_path):
    """A server whose certificate curl believes."""
    authority = make_pair(tmp_path, "localhost")
    server = make_server(
        "--tls-mode", "files", "--tls-certificate", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"),
        "--joins-per-minute", "100000", "--public-calls-per-minute", "100000", tls=True)
    server.authority = authority
    server.url = server.url.replace("127.0.0.1", "localhost")
    return server


def install(server, directory, *arguments, environment=None, patch=None):
    script = subprocess.run(
        ["curl", "--silent", "--fail", "--cacert", server.authority, f"{server.url}/install.sh"], check=True, capture_output=True,
        text=True).stdout
    if patch:
        script = patch(script)
    if Path("/usr/bin/postern").exists():
        pytest.skip("the package is installed here")
    return script, subprocess.run(
        ["sh", "-s", "--", *arguments], input=script, capture_output=True, text=True, timeout=PATIENCE, env={
            "PATH": os.environ["PATH"], "HOME": str(directory), "POSTERN_DIRECTORY": str(directory / "bin"),
            "CURL_CA_BUNDLE": server.authority, "SSL_CERT_FILE": server.authority, **(environment or {})})


def test_the_script_fetches_the_servers_own_program_and_checks_it(trusted, tmp_path):
    script, done = install(trusted, tmp_path)
    assert done.returncode == 0, done.stderr
    program = tmp_path / "bin/postern"
    digest = hashlib.sha256(Path(POSTERN).read_bytes()).hexdigest()
    assert hashlib.sha256(program.read_bytes()).hexdigest() == digest and digest in script
    assert f"machine enroll {trusted.url} CODE" in done.stdout
    assert subprocess.run(["sh", "-n"], input=script, text=True).returncode == 0
    # One byte that is not the server's, and nothing is installed.
    program.unlink()
    _, damaged = install(trusted, tmp_path, patch=lambda text: text.replace(digest, "0" * 64))
    assert damaged.returncode == 1 and "damaged" in damaged.stderr and not program.exists()
    assert not list((tmp_path / "bin").iterdir())
    # A script that is cut off on its way does nothing.
    script = script[:script.index("# At the end")]
    cut = subprocess.run(["sh"], input=script, capture_output=True, text=True, env={"PATH": os.environ["PATH"], "POSTERN_DIRECTORY": str(tmp_path / "bin")})
    assert cut.returncode == 0 and cut.stdout == "" and not list((tmp_path / "bin").iterdir())


def test_a_program_for_another_machine_is_served_when_it_is_put_there(trusted, tmp_path):
    def other(text):
        return text.replace("$(uname -m)", "aarch64")
    _, done = install(trusted, tmp_path, patch=other)
    assert done.returncode == 1 and "has no program for linux-arm64" in done.stderr and "programs/postern-linux-arm64" in done.stderr
    programs = Path(trusted.state) / "programs"
    programs.mkdir()
    (programs / "postern-linux-arm64").write_text("#!/bin/sh\necho postern 9.9.9\n")
    _, done = install(trusted, tmp_path, patch=other)
    assert done.returncode == 0 and "9.9.9" in (tmp_path / "bin/postern").read_text(), done.stderr
    for path, status in (("/install/postern-linux-riscv64", "404"), ("/install/../postern.db", "404"), ("/install/postern-%2e%2e", "404")):
        answer = subprocess.run(
            ["curl", "--silent", "--path-as-is", "--cacert", trusted.authority, "-o", "/dev/null", "-w", "%{http_code}", trusted.url + path],
            capture_output=True, text=True)
        assert answer.stdout == status, path


def test_a_host_that_is_none_gets_no_script(trusted):
    answer = subprocess.run(
        ["curl", "--silent", "--cacert", trusted.authority, "-H", "Host: a';rm -rf /;'", f"{trusted.url}/install.sh"],
        capture_output=True, text=True)
    assert "rm -rf" not in answer.stdout
    powershell = subprocess.run(
        ["curl", "--silent", "--cacert", trusted.authority, f"{trusted.url}/install.ps1"], capture_output=True, text=True).stdout
    assert "no program for Windows" in powershell


def test_with_a_code_the_machine_is_enrolled(trusted, tmp_path):
    ana = trusted.user("ana")
    code = ana.call("POST", "/machines/invitations")[1]["code"]

    def here(text):
        return text.replace("< /dev/null", f"--state {tmp_path}/state --no-start < /dev/null")
    _, done = install(trusted, tmp_path, code, patch=here)
    assert done.returncode == 0 and "Enrolled as" in done.stdout, done.stdout + done.stderr
    assert json.loads((tmp_path / "state/machine.json").read_text())["url"] == trusted.url
    assert len(ana.call("GET", "/machines")[1]) == 1
