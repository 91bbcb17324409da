"""RFC 6455 by the Autobahn test suite, against an endpoint made of the relay's own parts (Sources/WebSocketEcho).

The suite needs Python 2.7, which is not everywhere: where there is none, the test says so and is skipped. What is never
skipped are the cases of Tests/WebSocketTests."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ECHO = os.environ.get("POSTERN_ECHO", str(Path(os.environ.get("POSTERN", "postern")).parent / "postern-echo"))
ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv-autobahn"


def python2():
    """A Python 2.7, from the PATH or from pyenv."""
    found = [shutil.which("python2.7"), *map(str, Path.home().glob(".pyenv/versions/2.7*/bin/python"))]
    # A shim of pyenv is there also where the version behind it is not chosen.
    return next((path for path in found if path and subprocess.run([path, "-V"], capture_output=True).returncode == 0), None)


@pytest.fixture(scope="module")
def wstest():
    if not (TOOLS / "bin/wstest").exists():
        python = python2()
        if not python:
            pytest.skip("the Autobahn test suite needs Python 2.7, and there is none here")
        maker = TOOLS.with_name(".venv-autobahn-maker")
        subprocess.run(["python3", "-m", "venv", str(maker)], check=True)
        subprocess.run([maker / "bin/pip", "install", "-q", "virtualenv==20.15.1"], check=True)
        subprocess.run([maker / "bin/virtualenv", "-q", "-p", python, str(TOOLS)], check=True)
        subprocess.run([TOOLS / "bin/pip", "install", "-q", "autobahntestsuite==0.8.2"], check=True)
    return TOOLS / "bin/wstest"


def test_every_case_that_applies_passes(wstest, tmp_path):
    echo = subprocess.Popen([ECHO], stdout=subprocess.PIPE, text=True)
    try:
        port = echo.stdout.readline().strip()
        (tmp_path / "spec.json").write_text(json.dumps({
            "outdir": str(tmp_path / "reports"), "servers": [{"agent": "postern", "url": f"ws://127.0.0.1:{port}"}],
            # 12 and 13 are about compression, which is not offered.
            "cases": ["*"], "exclude-cases": ["12.*", "13.*"], "exclude-agent-cases": {}}))
        subprocess.run([wstest, "-m", "fuzzingclient", "-s", tmp_path / "spec.json"], check=True, cwd=tmp_path,
                       capture_output=True)
        results = json.loads((tmp_path / "reports/index.json").read_text())["postern"]
    finally:
        echo.kill()
        echo.wait()
        echo.stdout.close()
    assert len(results) > 240
    outcomes = {}
    for case, result in results.items():
        outcomes.setdefault(result["behavior"], []).append(case)
        assert result["behaviorClose"] in ("OK", "INFORMATIONAL"), (case, result)
    print({outcome: len(cases) for outcome, cases in outcomes.items()})
    # NON-STRICT: text that is not UTF-8 is refused at the end of its message and not at its first bad byte.
    assert set(outcomes) <= {"OK", "NON-STRICT", "INFORMATIONAL"}, outcomes
    assert all(case.startswith("6.4.") for case in outcomes.get("NON-STRICT", [])), outcomes["NON-STRICT"]
