"""testssl.sh grades the default configuration with a certificate from an ACME authority."""

import json
import shutil
import subprocess

import pytest

from conftest import PATIENCE, wait_for
from test_acme import in_force, pebble_vouches, pebbles, start  # noqa: F401

# What the test's own authority lacks and a public one has: places to ask about revocation, transparency logs, a DNS that says
# who may issue.
OF_THE_TEST_AUTHORITY = {"cert_crlDistributionPoints", "cert_ocspURL", "cert_revocation", "DNS_CAArecord",
                         "certificate_transparency", "cert_mustStapleExtension", "OCSP_stapling",
                         # The OpenSSL that testssl itself runs on.
                         "engine_problem",
                         # Five years, where public authorities give three months.
                         "cert_extlifeSpan", "cert_validityPeriod"}


def test_no_finding_above_low(make_server, pebbles, tmp_path):
    if not shutil.which("testssl"):
        pytest.skip("testssl is not installed")
    pebble = pebbles().start()
    server = start(make_server, pebble)
    in_force(server)
    wait_for(lambda: pebble_vouches(pebble, server), "the certificate on the socket")
    root = tmp_path / "root.pem"
    root.write_bytes(pebble.get("/roots/0", management=True))
    port = server.address.rsplit(":", 1)[1]
    for attempt in range(3):
        report = tmp_path / f"report{attempt}.json"
        subprocess.run(
            ["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1", "--add-ca", root,
             "--jsonfile", report, f"box.test:{port}"], capture_output=True, timeout=PATIENCE * 10)
        found = json.loads(report.read_text())
        assert len(found) > 100, found
        bad = [entry for entry in found if entry["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL")
               and entry["id"] not in OF_THE_TEST_AUTHORITY]
        # The tool itself was too slow to connect, on a busy machine: that says nothing, and it looks again.
        if not bad or not all(entry["severity"] == "WARN" and "connect problem" in entry["finding"] for entry in bad):
            break
    print(f"\ntestssl: {len(found)} findings, none above LOW but the test authority's own")
    assert not bad, [(entry["id"], entry["severity"], entry["finding"]) for entry in bad]
