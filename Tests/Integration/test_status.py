"""How the server looks from outside: page, health, readiness, metrics, the API's description."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import PATIENCE, POSTERN, wait_for
from turns import short, turn, turns
from wedge import Wedge


def page(server, path="/status", token=None):
    request = urllib.request.Request(server.url + path)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode(), answer.headers


def run(server, *arguments):
    return subprocess.run([POSTERN, *arguments, "--state", server.state], check=True, capture_output=True, text=True).stdout


def test_the_page_is_small_whole_and_without_script(server):
    text, headers = page(server)
    # One script of ours, and nothing from elsewhere.
    assert len(text) < 20_000 and text.count("<script") == 1 and '<script type="module" src="/web/' in text
    assert "http://" not in text.replace(server.url, "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for part in ("database", "relay", "disk", "backups"):
        assert f'<th scope="row">{part}</th>' in text
    assert text.count("</title></rect>") == 90 and "Everything works" in text
    assert page(server, "/")[0].count("</title></rect>") == 90


def test_event_loops_ask_for_short_turns_and_other_threads_do_not(server):
    if turn() is None:
        pytest.skip("no sched_getattr here")
    wait_for(lambda: turns(server.process.pid)[0] == {short()}, lambda: turns(server.process.pid))
    assert turns(server.process.pid)[1] == {turn()}


def test_private_numbers_are_for_people_who_have_signed_in(server, ana):
    assert "Open sessions" not in page(server)[0]
    assert "Open sessions" in page(server, token=ana.token)[0]
    assert "Open sessions" not in page(server, token="pst_nonsense")[0]


def test_incidents_are_shown_until_they_end_and_cannot_inject(server):
    out = run(server, "incident", "post", "<b>Disk</b> & more")
    assert "&lt;b&gt;Disk&lt;/b&gt; &amp; more" in page(server)[0]
    run(server, "incident", "resolve", out.split()[-1])
    assert "Disk" not in page(server)[0]
    listed = json.loads(run(server, "incident", "list", "--all", "--json"))
    assert listed["text"] == "<b>Disk</b> & more" and listed["resolvedAt"]


def test_many_long_incidents_do_not_make_the_page_long(server):
    for number in range(30):
        run(server, "incident", "post", f"{number} " + "<" * 490)
    text, _ = page(server)
    assert len(text) < 20_000 and "And 27 older notices" in text


def test_incidents_are_ended_by_what_names_them(server):
    made = json.loads(run(server, "incident", "post", "Disk", "--json"))
    done = subprocess.run([POSTERN, "incident", "resolve", "", "--state", server.state], capture_output=True, text=True)
    assert done.returncode == 2 and "Disk" in page(server)[0]
    run(server, "incident", "resolve", made["id"])
    assert "Disk" not in page(server)[0]


def test_the_bars_say_how_each_day_was(make_server):
    server = make_server()
    server.stop()
    today = int(time.time() // 86400)
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        # Days with an outage, with a warning, and without a word.
        database.execute("DELETE FROM availability")
        database.executemany("INSERT INTO availability VALUES (?, ?, ?)", [(today - 3, 43200, 43200), (today - 2, 86400, 3600), (today - 1, 86400, 0)])
    database.close()
    server.start()
    bars = re.findall(r'<rect class="(\w+)"[^>]*><title>([^<]*)</title>', page(server)[0])
    assert len(bars) == 90 and [kind for kind, _ in bars[:86]] == ["none"] * 86
    day = lambda back: time.strftime("%Y-%m-%d", time.gmtime((today - back) * 86400))
    assert [words.split(":")[0] for _, words in bars[-4:-1]] == [day(3), day(2), day(1)]
    assert [kind for kind, _ in bars[-4:-1]] == ["failed", "warning", "ok"] and "50.0 % available" in bars[-4][1]


def test_backups_that_fail_are_said(make_server, tmp_path):
    (tmp_path / "file").write_text("no directory")
    server = make_server("--backup-every-hours", "1", "--backup-directory", str(tmp_path / "file"))
    part = lambda: next(one for one in server.call("GET", "/ready")[1]["components"] if one["name"] == "backups")
    wait_for(lambda: part()["state"] == "warning", lambda: part())
    assert re.search(r'<th scope="row">backups</th><td[^>]*><span class="badge warning">needs attention</span></td><td[^>]*>The last one failed', page(server)[0])
    assert server.call("GET", "/ready")[0] == 200


def test_an_event_loop_that_hangs_is_the_relays_failure(make_server):
    server = make_server()
    wedge = Wedge(server.process.pid, "NIO-ELT-1-#2")

    def ready():
        """By a connection of the loop that goes on; those of the other one wait."""
        host, port = server.address.split(":")
        try:
            with socket.create_connection((host, int(port)), 3) as one:
                one.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b"".join(iter(lambda: one.recv(65536), b""))
        except OSError:
            return b""
    found = wait_for(lambda: (text := ready()) and b" 503 " in text and text, "a look")
    parts = json.loads(found.split(b"\r\n\r\n", 1)[1])["components"]
    assert next(part for part in parts if part["name"] == "relay")["state"] == "failed"
    # The tracer takes note of the end first.
    server.process.kill()
    wedge.forget()
    server.stop()


def test_a_database_that_is_gone_is_said_everywhere(make_server):
    server = make_server("--backup-every-hours", "0")
    for name in ("postern.db-wal", "postern.db"):
        with open(f"{server.state}/{name}", "r+b") as file:
            file.write(b"\xff" * max(4096, os.path.getsize(file.name)))
    def broken():
        try:
            with urllib.request.urlopen(server.url + "/ready", timeout=PATIENCE) as answer:
                return None
        except urllib.error.HTTPError as error:
            return error.code == 503 and json.loads(error.read())
    found = wait_for(broken, "the failure")
    assert any(part["name"] == "database" and part["state"] == "failed" for part in found["components"])
    text, _ = page(server)
    assert "Something is broken" in text and "broken</span></td>" in text


def test_metrics_are_valid_and_count(server, ana):
    for _ in range(3):
        ana.call("GET", "/sessions")
    text, headers = page(server, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr + done.stdout
    value = lambda name: float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M).group(1))
    assert value('postern_http_responses_total{status="2xx"}') >= 3
    assert value("postern_http_request_seconds_count") >= 3
    assert value("postern_database_commit_transactions_count") >= 1
    assert value("postern_connections_accepted_total") >= 3


def test_metrics_from_elsewhere_need_an_administrators_token(make_server):
    address = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout.split()
    if not address:
        pytest.skip("this machine has no address but loopback")
    server = make_server(at=f"{address[0]}:0")
    assert server.call("GET", "/metrics")[0] == 401
    ana = server.user("ana")
    assert server.call("GET", "/metrics", token=ana.token)[0] == 403
    olga = server.user("olga", "--admin")
    assert page(server, "/metrics", token=olga.token)[0].startswith("# HELP")


# The API's description


@pytest.fixture
def description(server):
    return json.loads(page(server, "/openapi.json")[0])


def test_the_description_is_valid_openapi(description):
    from openapi_spec_validator import validate
    validate(description)
    assert description["info"]["version"] == subprocess.run([POSTERN, "version"], capture_output=True, text=True).stdout.split()[1]


def test_every_described_route_is_there_and_answers_as_described(server, ana, description):
    session = ana.call("POST", "/sessions", {"hostPublicKey": "k"})[1]
    code = ana.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read"})[1]
    walked = 0
    operations = [(path, method, operation) for path, item in description["paths"].items()
                  for method, operation in item.items() if method != "parameters"]
    # What ends things comes last, and a session after its codes.
    for path, method, operation in sorted(operations, key=lambda one: (one[1] == "delete", "/sessions" in one[0], one[0])):
        concrete = path.replace("{id}", session["id"]).replace("{code}", code["code"]).replace("{secret}", "x" * 43)
        concrete = concrete.replace("{organisation}", ana.id).replace("{user}", ana.id)
        body = None
        if "requestBody" in operation:
            kind = next(iter(operation["requestBody"]["content"]))
            body = {"hostPublicKey": "k", "permission": "read"} if kind == "application/json" else b"username=x&password=a+few+random+words"
        request = urllib.request.Request(
            server.url + concrete, method=method.upper(),
            data=body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {ana.token}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                status, kind, text = answer.status, answer.headers.get_content_type(), answer.read()
        except urllib.error.HTTPError as error:
            status, kind, text = error.code, error.headers.get_content_type(), error.read()
        described = operation["responses"].get(str(status)) or operation["responses"]["default"]
        if "$ref" in described:
            # What needs more than this walk has (a password, a team, an administrator) is refused in the one shape.
            assert not path.startswith(("/sessions", "/codes", "/health", "/ready")), (method, path, status, text)
            assert 400 <= status < 500, (method, path, status, text)
            described = description["components"]["responses"]["Error"]
        kinds = described.get("content", {})
        assert not kinds or kind in kinds, (method, path, kind)
        if kind == "application/json" and kinds:
            check_schema(json.loads(text), kinds[kind]["schema"], description)
            check_no_more(json.loads(text), kinds[kind]["schema"], description)
        # Without a token it is refused where it says so.
        if operation.get("security", description["security"]) == description["security"]:
            assert server.call(method.upper(), concrete, body if body is None else body)[0] == 401, (method, path)
        walked += 1
    assert walked >= 60


def check_no_more(value, schema, description):
    """Nothing is answered that the description does not name."""
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].split("/")[-1]]
    for one in value if isinstance(value, list) else []:
        check_no_more(one, schema["items"], description)
    if isinstance(value, dict) and schema.get("properties"):
        assert set(value) <= set(schema["properties"]), (value, schema)
        for name, inner in value.items():
            check_no_more(inner, schema["properties"][name], description)


def check_schema(value, schema, description):
    import jsonschema
    jsonschema.Draft202012Validator({**schema, "components": description["components"]}).validate(value)
