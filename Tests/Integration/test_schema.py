"""The API against its own description: what it takes, what it refuses, and what it answers, with data that schemathesis makes up."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import ROOT, clean_environment

# Requests of each kind for each operation; a soak takes more.
EXAMPLES = 60 if os.environ.get("POSTERN_SOAK") else 8
# What ends the credential that asks, or the organisation that it is for.
ENDING = r"^/(auth/(sign-out|sign-in|refresh)|tokens/.id.|organisations/.organisation.$)"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("who", ["administrator", "member"])
def test_the_description_says_what_is_so(make_server, tmp_path, who, seed):
    server = make_server("--registration", "open", "--joins-per-minute", "1000000", "--public-calls-per-minute", "1000000")
    user = server.user("ana", *(["--admin"] if who == "administrator" else []))
    # The configuration's place is the directory that it runs in.
    (tmp_path / "schemathesis.toml").write_text((Path(__file__).parent / "schemathesis.toml").read_text())
    done = subprocess.run(
        [str(ROOT / ".venv/bin/schemathesis"), "run", server.url + "/openapi.json", "-H", f"Authorization: Bearer {user.token}",
         "--seed", str(seed), "--max-examples", str(EXAMPLES), "--phases", "coverage,fuzzing", "--exclude-path-regex", ENDING,
         "--continue-on-failure", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stdout[-20_000:]
    # The credential lived to the end, and next to everything was asked.
    assert user.call("GET", "/auth/me")[0] == 200
    tested = int(re.search(r"Tested: (\d+)", done.stdout).group(1))
    with_all = sum(len(item) for item in json.loads(server.page("/openapi.json"))["paths"].values())
    assert tested >= with_all - 14, done.stdout[-3_000:]
