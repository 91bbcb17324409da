"""`postern bench`: an owner measures his own appliance."""

import json
import signal
import subprocess

from conftest import PATIENCE, POSTERN


def test_bench_measures_and_leaves_nothing_behind(server, ana):
    done = subprocess.run([POSTERN, "bench", server.url, "--json"], env=ana.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["keystrokes"] > 0 and 0 < report["echoP50"] <= report["echoP99"]
    assert report["bytesPerSecond"] > 0
    assert report["messages"] == 600 and report["lost"] == 0 and report["repeated"] == 0 and report["caughtUpAfter"] > 0
    assert ana.call("GET", "/sessions")[1] == []


def test_an_interrupted_bench_ends_its_session(ana):
    bench = subprocess.Popen([POSTERN, "bench"], env=ana.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "keystroke" in bench.stderr.readline()
    bench.send_signal(signal.SIGINT)
    out, error = bench.communicate(timeout=PATIENCE)
    assert bench.returncode == 1 and "interrupted" in error and not out
    assert ana.call("GET", "/sessions")[1] == []


def test_bench_shows_a_token_only_to_the_server_it_came_from(ana, tmp_path):
    credentials = tmp_path / "config/postern"
    credentials.mkdir(parents=True)
    (credentials / "credentials.json").write_text(json.dumps({"url": ana.server.url, "token": ana.token}))
    environment = {key: value for key, value in ana.environment.items() if not key.startswith("POSTERN_")}
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    refused = subprocess.run([POSTERN, "bench", "http://127.0.0.1:9"], env=environment, capture_output=True, text=True)
    assert refused.returncode == 1 and "not signed in" in refused.stderr
