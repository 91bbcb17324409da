"""What an owner does with a server: configure, set up, back up, restore, look after it. Each with its failures."""

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from conftest import PATIENCE, POSTERN, clean_environment, wait_for
from people import PASSWORD


def run(*arguments, stdin="", environment=None, **options):
    return subprocess.run([POSTERN, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          env={**clean_environment(), **(environment or {})}, timeout=PATIENCE, **options)


# Configuration


def test_every_mistake_in_the_file_is_named_with_its_line(tmp_path):
    file = tmp_path / "postern.yml"
    file.write_text("tls-mode: selfsigned\njoins-per-minut: 5\nhttps: nonsense\nhttp: \"127.0.0.1:1\"\nhttp: \"127.0.0.1:2\"\nstate: relative\n")
    done = run("config", "check", "--config", file)
    assert done.returncode == 1
    for line, text in [(1, "'tls-mode' must be one of self-signed, files, acme, not 'selfsigned'"),
                       (2, "did you mean 'joins-per-minute'?"), (3, "'https' must be HOST:PORT"),
                       (5, "is already set on line 4"), (6, "'state' must be a path that starts with /")]:
        assert re.search(rf"line {line}: .*{re.escape(text)}", done.stderr), (text, done.stderr)


@pytest.mark.parametrize("text", ["[a, b]", "a:\n  b: c\n", "key: [1, [2]]", "\tx: 1", "a: 'b", "- x"])
def test_a_file_that_is_no_list_of_settings_says_where(tmp_path, text):
    file = tmp_path / "postern.yml"
    file.write_text(text)
    done = run("config", "check", "--config", file)
    assert done.returncode == 1 and "line" in done.stderr


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    file = tmp_path / "postern.yml"
    file.write_text("joins-per-minute: 1\npublic-calls-per-minute: 2\ntls-names: [a.example, b.example]\n")
    secret = tmp_path / "secret"
    secret.write_text("c2VjcmV0\n")
    done = run("config", "show", "--json", "--config", file, "--state", tmp_path / "s", environment={
        "POSTERN_PUBLIC_CALLS_PER_MINUTE": "3", "POSTERN_ACME_EAB_HMAC_KEY_FILE": str(secret)})
    shown = {entry["key"]: entry for entry in map(json.loads, done.stdout.splitlines())}
    assert (shown["joins-per-minute"]["value"], shown["joins-per-minute"]["source"]) == ("1", "line 1")
    assert (shown["public-calls-per-minute"]["value"], shown["public-calls-per-minute"]["source"]) == (
        "3", "POSTERN_PUBLIC_CALLS_PER_MINUTE")
    assert shown["state"]["source"] == "--state" and shown["tls-mode"]["source"] == "default"
    assert shown["tls-names"]["value"] == "a.example,b.example"
    assert shown["acme-eab-hmac-key"]["value"] == "(hidden)" and "c2VjcmV0" not in done.stdout


def test_the_example_has_every_setting_and_is_valid_as_it_is_and_uncommented(tmp_path):
    example = run("config", "example").stdout
    file = tmp_path / "postern.yml"
    file.write_text(example)
    assert run("config", "check", "--config", file).returncode == 0
    file.write_text(re.sub(r"^#([a-z-]+:)", r"\1", example, flags=re.M))
    done = run("config", "check", "--config", file)
    assert done.returncode == 0, done.stderr
    keys = re.findall(r"^#([a-z-]+):", example, flags=re.M)
    flags = re.findall(r"--([a-z-]+) ", run("serve", "--help").stdout)
    # Secrets have no flag: a list of processes is no place for them.
    secrets = {key for key in keys if key.endswith(("-secret", "-password", "-hmac-key"))}
    assert set(keys) - set(flags) == secrets


@pytest.mark.parametrize("lines, text", [
    (["github-client-id: x"], "line 1: github-client-id is set, but github-client-secret is not; set it with 'postern secret set"),
    (["oidc-client-secret: y", "oidc-client-id: x"], "line 2: oidc-client-id is set, but oidc-issuer is not"),
    (["smtp-host: mail.example"], "line 1: smtp-host is set, but smtp-from is not an address"),
    (["smtp-from: a@b.example", "smtp-host: mail.example", "smtp-security: none"], "line 3: smtp-security none is only for"),
    (["admin-password: correct horse battery", "admin-name: a b"], "line 2: admin-name 'a b' is not an account name"),
    (["public-url: not a url"], "line 1: 'public-url' must be an address as in https://"),
    (["acme-directory: http://plain.example/"], "line 1: 'acme-directory' must be an address as in https://"),
    (["tls-names: [a b]"], "line 1: 'tls-names' must be a list of host names"),
    (["trusted-proxies: [proxy.example]"], "line 1: 'trusted-proxies' must be a list of numeric addresses"),
    (["tls-certificate: /nowhere.pem", "tls-key: /nowhere.key", "tls-mode: files"], "line 1: cannot read /nowhere.pem"),
    (["tls-certificate: /a.pem", "tls-key: [/a.key, /b.key]", "tls-mode: files"], "line 2: tls-certificate and tls-key go together; there are 1 and 2"),
    (["tls-mode: acme", "tls-names: [a.example]"], "line 1: tls-mode is acme: read the authority's terms"),
    (["tls-mode: acme", "tls-names: [a.example]", "acme-agree: yes", "acme-eab-key-id: k", "acme-eab-hmac-key: '%'"], "line 5: the external account's HMAC key is not base64url"),
    (["provider-ca-file: /nowhere.pem"], "line 1: /nowhere.pem:"),
])
def test_check_finds_what_a_start_would_refuse_with_its_line(tmp_path, lines, text):
    file = tmp_path / "postern.yml"
    file.write_text("\n".join(lines) + "\n")
    done = run("config", "check", "--config", file, "--state", tmp_path / "state")
    assert done.returncode == 1 and text in done.stderr, done.stderr
    told = json.loads(run("config", "check", "--json", "--config", file, "--state", tmp_path / "state").stdout)
    assert any(text in mistake for mistake in told["mistakes"])
    # And looking at it makes nothing.
    assert not (tmp_path / "state").exists()


def test_a_secret_that_is_sealed_is_known_to_check_and_shown_as_such(server, tmp_path):
    file = tmp_path / "postern.yml"
    file.write_text("github-client-id: x\n")
    assert run("config", "check", "--config", file, "--state", server.state).returncode == 1
    assert run("secret", "set", "github-client-secret", "--state", server.state, stdin="hush\n").returncode == 0
    assert run("config", "check", "--config", file, "--state", server.state).returncode == 0
    shown = run("config", "show", "--config", file, "--state", server.state).stdout
    assert re.search(r"github-client-secret +\(hidden\)  \(sealed in the database\)", shown) and "hush" not in shown
    assert json.loads(run("secret", "list", "--json", "--state", server.state).stdout)["name"] == "github-client-secret"


def test_a_misspelt_variable_is_a_mistake_too():
    done = run("config", "check", environment={"POSTERN_LOG_LEVL": "debug"})
    assert done.returncode == 1 and "unknown variable POSTERN_LOG_LEVL; did you mean POSTERN_LOG_LEVEL?" in done.stderr


@pytest.mark.parametrize("arguments", [
    ["user", "list"], ["audit", "verify"], ["setup"], ["incident", "list"], ["secret", "list"], ["organisation", "list"],
    ["doctor"], ["cert", "status"], ["config", "show"]])
def test_a_mistyped_state_directory_is_a_mistake_and_makes_nothing(tmp_path, arguments):
    done = run(*arguments, "--state", tmp_path / "typo")
    assert done.returncode == (0 if arguments[0] == "config" else 1), done.stdout
    assert arguments[0] == "config" or "start the server once" in done.stderr + done.stdout
    assert not (tmp_path / "typo").exists()


def test_a_wrong_variable_stops_the_server_with_its_name(tmp_path):
    done = run("serve", "--state", tmp_path / "s", environment={"POSTERN_HOST_RETURN": "soon"})
    assert done.returncode == 1 and "POSTERN_HOST_RETURN: 'host-return' must be a number" in done.stderr


def test_sighup_takes_what_it_can_and_names_the_rest(make_server, tmp_path):
    file = tmp_path / "postern.yml"
    file.write_text("log-level: info\n")
    server = make_server("--config", str(file))
    file.write_text("log-level: debug\nguest-return: 7\n")
    said = lambda: server.log.read_text().count("these settings need a restart")
    # What waits for a restart is said again as long as it waits.
    for reloads in (1, 2):
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: said() == reloads, "the reload")
    assert server.log.read_text().count("settings=guest-return") == 2
    file.write_text("log-levle: debug\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "did you mean 'log-level'?" in server.log.read_text(), "the complaint")
    assert server.call("GET", "/health")[0] == 200


def test_limits_are_changed_while_people_are_served(make_server, tmp_path):
    file = tmp_path / "postern.yml"
    file.write_text("public-calls-per-minute: 2\n")
    server = make_server("--config", str(file))
    check = lambda: server.call("GET", "/codes/SYCLX-AAAAAA/validate")[0]
    wait_for(lambda: check() == 429, "the limit")
    file.write_text("public-calls-per-minute: 100000\nconnections-per-address: 3\nlog-addresses: yes\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in server.log.read_text(), "the reload")
    assert "need a restart" not in server.log.read_text()
    wait_for(lambda: check() != 429, "the new limit")
    host, port = server.address.split(":")
    held = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(4)]
    wait_for(lambda: "too many at once from one address" in server.log.read_text(), "the refusal")
    assert "address=127.0.0.1" in server.log.read_text()
    for one in held:
        one.close()


def forwarded(server, path, *addresses, token=None):
    return server.call("GET", path, token=token, headers={"X-Forwarded-For": ", ".join(addresses)})[0]


def test_behind_a_proxy_that_is_trusted_people_are_told_apart(make_server):
    server = make_server("--trusted-proxies", "127.0.0.1,10.0.0.1", "--public-calls-per-minute", "3", "--connections-per-address", "2")
    ask = lambda *addresses: server.call("GET", "/codes/SYCLX-AAAAAA/validate",
                                         headers={"X-Forwarded-For": ", ".join(addresses)})[0]
    assert [ask("192.0.2.1") for _ in range(4)][-1] == 429
    assert ask("192.0.2.2") != 429
    # What a client invents stands to the left of what the proxy saw; proxies in between are skipped.
    assert ask("192.0.2.9", "192.0.2.1") == 429
    assert ask("192.0.2.1", "10.0.0.1") == 429
    assert ask("198.51.100.7", "192.0.2.3", "10.0.0.1") != 429
    # The proxy's own connections are everybody's.
    host, port = server.address.split(":")
    held = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(10)]
    assert server.call("GET", "/health")[0] == 200
    for one in held:
        one.close()
    # And nobody who comes through it is this machine's own program.
    assert server.call("GET", "/metrics")[0] == 401 and forwarded(server, "/metrics", "192.0.2.1") == 401


def test_without_a_trusted_proxy_nobodys_word_is_taken(make_server):
    server = make_server("--public-calls-per-minute", "3")
    ask = lambda address: server.call("GET", "/codes/SYCLX-AAAAAA/validate", headers={"X-Forwarded-For": address})[0]
    assert [ask(f"192.0.2.{n}") for n in range(4)][-1] == 429
    # A proxy on this machine that nobody has named does not open what is for this machine.
    assert forwarded(server, "/metrics", "192.0.2.1") == 401
    with urllib.request.urlopen(server.url + "/metrics", timeout=PATIENCE) as answer:
        assert answer.status == 200


def test_only_the_journal_itself_does_without_times(make_server):
    server = make_server("--log-level", "debug", environment={"JOURNAL_STREAM": "1:2"})
    wait_for(lambda: server.log.read_text().startswith("time="), "a line with its time")


def test_json_logs_are_json(make_server):
    server = make_server("--log-format", "json", "--log-level", "debug")
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: server.log.read_text().count("\n") >= 1, "a line")
    for line in server.log.read_text().splitlines():
        assert {"level", "msg"} <= json.loads(line).keys()


# First run


def setup_path(server):
    return urllib.parse.urlparse(open(server.state + "/setup-link").read().strip()).path


def post_form(server, path, **fields):
    body = urllib.parse.urlencode(fields).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, data=body), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_the_setup_link_makes_one_administrator_once(server):
    assert oct(os.stat(server.state + "/setup-link").st_mode & 0o777) == "0o600"
    path = setup_path(server)
    with urllib.request.urlopen(server.url + path, timeout=PATIENCE) as answer:
        assert "<form" in answer.read().decode()
    # Another site's form, as a browser says.
    for name, value in [("Origin", "https://evil.test"), ("Sec-Fetch-Site", "cross-site")]:
        assert server.call("POST", path, b"username=eve&password=a+few+random+words", headers={name: value})[0] == 403
    _, page = post_form(server, path, username="olga", password=PASSWORD)
    token = re.search(r"pst_\w+", page).group()
    assert server.call("GET", "/auth/me", token=token)[1]["tier"] == "admin"
    for again in ("eve", "olga"):
        assert "is no longer valid" in post_form(server, path, username=again, password=PASSWORD)[1]
    done = run("setup", "--state", server.state)
    assert done.returncode == 1 and "already has an administrator" in done.stderr
    server.restart()
    assert not os.path.exists(server.state + "/setup-link")


@pytest.mark.parametrize("tls", [False, True])
def test_links_name_the_scheme_and_the_port_that_are_served(make_server, tls):
    server = make_server(tls=tls)
    assert open(server.state + "/setup-link").read().startswith(server.url + "/setup/")
    assert run("setup", "--state", server.state).stdout.startswith(server.url + "/setup/")
    made = json.loads(run("setup", "--json", "--state", server.state).stdout)
    assert made["url"].startswith(server.url + "/setup/") and made["minutes"] == 30
    server.user("ana")
    assert server.url + "/reset/" in run("user", "reset", "ana", "--state", server.state).stdout


def test_setup_prints_a_new_link_and_the_old_one_stops_working(server):
    old = setup_path(server)
    new = urllib.parse.urlparse(run("setup", "--state", server.state).stdout.splitlines()[0]).path
    assert old != new and setup_path(server) == new
    assert "is no longer valid" in post_form(server, old, username="eve", password=PASSWORD)[1]
    for name, password in (("\0", PASSWORD), ("olga", "short")):
        status, page = post_form(server, new, username=name, password=password)
        # The form again, and why.
        assert status == 400 and "<form" in page and 'role="alert"' in page
    assert "Setup is complete" in post_form(server, new, username="olga", password=PASSWORD)[1]


def test_a_restart_keeps_a_link_that_still_works(server):
    path = setup_path(server)
    server.restart()
    assert setup_path(server) == path
    assert "Setup is complete" in post_form(server, path, username="olga", password=PASSWORD)[1]


def test_two_at_once_make_one_administrator(server):
    path, pages = setup_path(server), []
    threads = [threading.Thread(target=lambda n=n: pages.append(post_form(server, path, username=f"u{n}", password=PASSWORD)[1])) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sum("Setup is complete" in page for page in pages) == 1


# Users and tokens


def test_accounts_are_listed_changed_and_removed(server):
    ana = server.user("ana")
    state = ["--state", server.state]
    assert run("user", "set-plan", "ana", "free", *state).returncode == 0
    assert ana.call("GET", "/auth/me")[1]["tier"] == "free"
    listed = [json.loads(line) for line in run("user", "list", "--json", *state).stdout.splitlines()]
    assert [(user["username"], user["tier"], user["isAdmin"]) for user in listed] == [("ana", "free", False)]
    fresh = json.loads(run("user", "reset", "ana", "--json", *state).stdout)["token"]
    assert ana.call("GET", "/auth/me")[0] == 401
    assert server.call("GET", "/auth/me", token=fresh)[0] == 200
    made = json.loads(run("token", "create", "ana", "--name", "laptop", "--json", *state).stdout)
    assert server.call("GET", "/auth/me", token=made["token"])[0] == 200
    tokens = [json.loads(line) for line in run("token", "list", "ana", "--json", *state).stdout.splitlines()]
    assert [token["name"] for token in tokens][0] == "laptop" and made["token"] not in str(tokens)
    assert run("token", "revoke", made["id"], *state).returncode == 0
    assert server.call("GET", "/auth/me", token=made["token"])[0] == 401
    assert run("user", "remove", "ana", *state).returncode == 2  # It asks, and there is nobody to ask.
    assert run("user", "remove", "ana", "--yes", *state).returncode == 0
    assert server.call("GET", "/auth/me", token=fresh)[0] == 401


@pytest.mark.parametrize("arguments, text", [
    (["user", "remove", "nobody", "--yes"], "There is no user named nobody"),
    (["user", "set-plan", "nobody", "pro"], "There is no user named nobody"),
    (["user", "reset", "nobody"], "There is no user named nobody"),
    (["token", "create", "nobody"], "There is no user named nobody"),
    (["token", "revoke", "nothing"], "There is no token nothing"),
    (["incident", "resolve", "nothing"], "No open incident, or more than one, ends in 'nothing'"),
    (["incident", "post", ""], "An incident's text must be 1 to 500 bytes"),
    (["backup", "/no/such/place/x"], "no/such"),
    (["restore", "/no/such/file"], "cannot read /no/such/file"),
    (["cert", "renew"], "only acme orders certificates"),
])
def test_what_is_not_there_is_said_in_one_sentence(server, arguments, text):
    done = run(*arguments, "--state", server.state)
    assert done.returncode == 1 and text in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_the_last_administrator_stays(server):
    run("user", "add", "olga", "--admin", "--state", server.state)
    done = run("user", "remove", "olga", "--yes", "--state", server.state)
    assert done.returncode == 1 and "last administrator" in done.stderr


# Backup and restore


def test_a_backup_under_a_thousand_writes_a_second_has_everything_answered_before_it_began(make_server, tmp_path):
    server = make_server("--joins-per-minute", "100000")
    ana = server.user("ana")
    answered, stop = [], threading.Event()
    body = b'{"hostPublicKey":"k"}'
    request = (f"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ana.token}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    # On raw sockets: a client that spends its time on headers does not get to a thousand a second.
    async def create():
        host, port = server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while not stop.is_set():
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            text = await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head, re.I).group(1)))
            assert b" 201 " in head, head
            answered.append(json.loads(text)["id"])
        writer.close()

    async def all_of_them():
        await asyncio.gather(*(create() for _ in range(64)))

    threads = [threading.Thread(target=lambda: asyncio.run(all_of_them()))]
    [thread.start() for thread in threads]
    begun = time.monotonic()
    try:
        for round in range(3):
            wait_for(lambda: len(answered) > 1000 * (round + 1), "the writes")
            before = set(answered)
            target = tmp_path / f"backup{round}.db"
            done = run("backup", target, "--state", server.state)
            assert done.returncode == 0, done.stderr
            with sqlite3.connect(target) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                ids = {row[0] for row in copy.execute("SELECT id FROM share_sessions")}
            assert before <= ids
            assert oct(os.stat(target).st_mode & 0o777) == "0o600"
    finally:
        print(f"\n{len(answered) / (time.monotonic() - begun):.0f} writes per second beside the backups")
        stop.set()
        [thread.join() for thread in threads]


def test_restore_refuses_while_serving_and_keeps_the_old_data_beside(make_server, tmp_path):
    server = make_server()
    ana = server.user("ana")
    target = tmp_path / "backup.db"
    assert run("backup", target, "--state", server.state).returncode == 0
    ben = server.user("ben")
    done = run("restore", target, "--state", server.state)
    assert done.returncode == 1 and "stop it first" in done.stderr
    server.stop()
    done = run("restore", target, "--state", server.state)
    assert done.returncode == 0 and "before-restore" in done.stdout
    server.start()
    assert ana.call("GET", "/auth/me")[0] == 200 and ben.call("GET", "/auth/me")[0] == 401
    kept = [name for name in os.listdir(server.state) if "before-restore" in name and name.endswith("Z")]
    with sqlite3.connect(f"{server.state}/{kept[0]}") as old:
        assert {row[0] for row in old.execute("SELECT username FROM users")} == {"ana", "ben"}


def test_damaged_foreign_and_newer_files_are_refused_and_change_nothing(make_server, tmp_path):
    server = make_server()
    ana = server.user("ana")
    good = tmp_path / "good.db"
    run("backup", good, "--state", server.state)
    server.stop()
    damaged = bytearray(good.read_bytes())
    damaged[4096:12288] = os.urandom(8192)
    newer, foreign = tmp_path / "newer.db", tmp_path / "foreign.db"
    newer.write_bytes(good.read_bytes())
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE x (y)")
    for name, content, text in [("damaged", bytes(damaged), "damaged"), ("text", b"hello", "damaged"),
                                ("cut", good.read_bytes()[:5000], "damaged"), ("empty", b"", "not a Postern database")]:
        (tmp_path / name).write_bytes(content)
        done = run("restore", tmp_path / name, "--state", server.state)
        assert done.returncode == 1 and text in done.stderr, (name, done.stderr)
    assert "install a newer Postern first" in run("restore", newer, "--state", server.state).stderr
    assert "not a Postern database" in run("restore", foreign, "--state", server.state).stderr
    server.start()
    assert ana.call("GET", "/auth/me")[0] == 200


def test_a_backup_of_an_older_version_is_brought_up_to_date_at_the_start(make_server, tmp_path):
    server = make_server()
    server.stop()
    old = tmp_path / "old.db"
    first = re.search(r'script: """(.*?)"""', open(os.path.dirname(__file__) + "/../../Sources/Storage/Migrations/FirstTables.swift").read(), re.S).group(1)
    with sqlite3.connect(old) as database:
        database.executescript(first)
        database.execute("INSERT INTO users VALUES ('u', 'olga', NULL, 'free', 0, 1)")
        database.execute("PRAGMA user_version = 1")
    done = run("restore", old, "--state", server.state)
    assert done.returncode == 0, done.stderr
    server.start()
    assert "olga" in run("user", "list", "--state", server.state).stdout
    # The migration kept what it found.
    assert any(name.startswith("postern.db.version-1") for name in os.listdir(server.state))


def test_a_sealed_backup_has_the_keys_and_wants_its_passphrase(make_server, tmp_path):
    server = make_server(tls=True)
    ana = server.user("ana")
    phrase, wrong, sealed = tmp_path / "phrase", tmp_path / "wrong", tmp_path / "sealed"
    phrase.write_text("correct horse battery\n")
    wrong.write_text("incorrect horse battery\n")
    done = run("backup", "--with-keys", sealed, "--passphrase-file", phrase, "--state", server.state)
    assert done.returncode == 0, done.stderr
    assert b"SQLite" not in sealed.read_bytes() and b"PRIVATE KEY" not in sealed.read_bytes()
    assert not [name for name in os.listdir(tmp_path) if "plain" in name]
    other = tmp_path / "other"
    assert "passphrase is wrong" in run("restore", sealed, "--passphrase-file", wrong, "--state", other).stderr
    assert run("restore", sealed, "--passphrase-file", phrase, "--state", other).returncode == 0
    server.stop()
    twin = make_server(tls=True, name="other")
    # The same server: the same accounts, and the fingerprint that people have pinned.
    assert twin.fingerprint == server.fingerprint and twin.call("GET", "/auth/me", token=ana.token)[0] == 200
    short = tmp_path / "short"
    short.write_text("short\n")
    assert "at least 12" in run("backup", "--with-keys", tmp_path / "x", "--passphrase-file", short, "--state", server.state).stderr


def test_scheduled_backups_are_made_and_the_oldest_removed(make_server, tmp_path):
    directory = tmp_path / "backups"
    directory.mkdir()
    for day in range(1, 6):
        (directory / f"postern-2020010{day}T000000Z.db").touch()
        os.utime(directory / f"postern-2020010{day}T000000Z.db", (day, day))
    make_server("--backup-directory", str(directory), "--backup-keep", "3", "--backup-every-hours", "1")
    wait_for(lambda: len(list(directory.glob("*.db"))) == 3, lambda: list(directory.iterdir()))
    newest = max(directory.glob("*.db"))
    with sqlite3.connect(newest) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# A disk that is full


@pytest.fixture
def small_disk(tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", mount]).returncode != 0:
        pytest.skip("needs root, to mount a small file system")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


def guest_typed(guest, share):
    """What a guest types reaches the host, and what the host's command answers reaches the guest."""
    guest.stdin.write(b"still here\n")
    guest.stdin.flush()
    share.wait("typing")
    found = b""
    while b"still here" not in found:
        chunk = os.read(guest.stdout.fileno(), 65536)
        assert chunk, guest.stderr.read()
        found += chunk


def test_a_disk_nearly_full_refuses_writes_in_words_and_reads_and_relays_go_on(small_disk, make_server, shares, children, tmp_path):
    server = make_server("--disk-reserve-mib", "4", name=small_disk / "state", log=tmp_path / "log")
    ana = server.user("ana")
    ben = server.user("ben")
    share = ana.share("--", "cat")
    shares.append(share)
    guest = ben.join(share.invitation(), stdin=subprocess.PIPE)
    children.append(guest)
    share.wait("guest_joined")
    late = share.invitation("read")
    status, session = ana.call("POST", "/sessions", {"hostPublicKey": "k"})
    assert status == 201
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    ballast.write_bytes(bytes(free - (3 << 20)))
    status, body = ana.call("POST", "/sessions", {"hostPublicKey": "k"})
    assert status == 507 and body["code"] == "disk_full" and "free" in body["message"]
    assert session["id"] in {one["id"] for one in ana.call("GET", "/sessions")[1]}
    # Who wants to join is told why not, and those who are there go on.
    refused = ben.join(late, stdout=subprocess.DEVNULL)
    assert "disk is full" in refused.communicate(timeout=PATIENCE)[1].decode()
    guest_typed(guest, share)
    status, health = server.call("GET", "/health")
    assert status == 200 and health["status"] == "degraded"
    status, ready = server.call("GET", "/ready")
    assert any(part["name"] == "disk" and part["state"] == "failed" for part in ready["components"]) and status == 503
    done = run("doctor", "--state", server.state)
    assert done.returncode == 1 and "free some space" in done.stdout
    # What ends something may still be written, and a restart is no worse than no restart.
    server.restart()
    assert session["id"] in {one["id"] for one in ana.call("GET", "/sessions")[1]}
    assert ana.call("DELETE", f"/sessions/{session['id']}")[0] == 204
    assert session["id"] not in {one["id"] for one in ana.call("GET", "/sessions")[1]}
    ballast.unlink()
    assert ana.call("POST", "/sessions", {"hostPublicKey": "k"})[0] == 201


def test_a_disk_that_fills_to_the_last_byte_loses_nothing_answered(small_disk, make_server, tmp_path):
    server = make_server("--disk-reserve-mib", "1", name=small_disk / "state", log=tmp_path / "log")
    ana = server.user("ana")
    answered = []
    (small_disk / "ballast").write_bytes(bytes(6 << 20))
    filler = open(small_disk / "filler", "wb")
    for _ in range(20000):
        status, body = ana.call("POST", "/sessions", {"hostPublicKey": "k" * 400})
        if status != 201:
            assert status == 507 and "disk" in body["message"], body
            break
        answered.append(body["id"])
        try:  # Somebody else fills the disk meanwhile, past the reserve.
            filler.write(bytes(20000))
            filler.flush()
        except OSError:
            pass
    else:
        raise AssertionError("never full")
    server.stop(signal.SIGKILL)
    (small_disk / "ballast").unlink()
    server.start()
    assert {session["id"] for session in ana.call("GET", "/sessions")[1]} >= set(answered[-400:])
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        kept = {row[0] for row in database.execute("SELECT id FROM share_sessions")}
    assert kept >= set(answered)


# systemd's side, without systemd: real descriptors and a real notification socket


def test_notifications_tell_ready_reloading_watchdog_and_stopping(make_server, tmp_path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(tmp_path / "notify")
    listener.bind(path)
    listener.settimeout(PATIENCE)
    server = make_server(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "3000000"})
    heard = []

    def hear(text):
        while not any(text in message for message in heard):
            heard.append(listener.recv(4096).decode())

    hear("READY=1")
    hear("WATCHDOG=1")
    hear("STATUS=0 sessions, 0 guests")
    server.process.send_signal(signal.SIGHUP)
    hear("RELOADING=1\nMONOTONIC_USEC=")
    heard.clear()
    hear("READY=1")
    server.process.send_signal(signal.SIGTERM)
    hear("STOPPING=1")
    assert any("EXTEND_TIMEOUT_USEC=" in message for message in heard)
    listener.close()


ACTIVATE = """
import os, socket, sys
names, program = sys.argv[1], sys.argv[2:]
sockets = []
for number, name in enumerate(names.split(":")):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if name == "datagram" else socket.SOCK_STREAM)
    one.bind(("127.0.0.1", 0))
    if name != "datagram":
        one.listen(16)
    sockets.append(one)
for number, one in enumerate(sockets):
    os.dup2(one.fileno(), 30 + number)
for number, one in enumerate(sockets):
    os.dup2(30 + number, 3 + number, inheritable=True)
os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)
os.execv(program[0], program)
"""


def activate(names, state, *options):
    import sys
    return subprocess.Popen([sys.executable, "-c", ACTIVATE, names, POSTERN, "serve", "--state", str(state), *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())


def test_inherited_sockets_are_served_by_their_names(tmp_path, children):
    server = activate("http:https", tmp_path / "s")
    children.append(server)
    url = re.match(r"Postern is up: (https://\S+)/", server.stdout.readline()).group(1)
    done = subprocess.run(["curl", "-sk", url + "/health"], capture_output=True, text=True, timeout=PATIENCE)
    assert '"status":"ok"' in done.stdout


@pytest.mark.parametrize("names, text", [
    ("https:telnet", "a socket named 'telnet'; sockets are named http and https"),
    ("datagram", "is not a listening stream socket"),
])
def test_unexpected_descriptors_are_named_and_refused(tmp_path, children, names, text):
    server = activate(names, tmp_path / "s")
    children.append(server)
    out, error = server.communicate(timeout=PATIENCE)
    assert server.returncode == 1 and text in error
    assert out == ""


def test_sockets_that_are_meant_for_another_process_are_left_alone(make_server):
    server = make_server(environment={"LISTEN_FDS": "2", "LISTEN_PID": "1", "LISTEN_FDNAMES": "http:https"})
    assert server.call("GET", "/health")[0] == 200


def test_a_credential_of_systemd_is_a_secret_like_any_other(tmp_path):
    (tmp_path / "smtp-password").write_text("hush\n")
    done = run("config", "show", "--json", environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    shown = {one["key"]: one for one in map(json.loads, done.stdout.splitlines())}["smtp-password"]
    assert shown["source"] == "credential" and shown["value"] == "(hidden)" and "hush" not in done.stdout


def test_a_name_that_the_own_certificate_lacks_is_said(make_server):
    server = make_server(tls=True)
    fingerprint = server.fingerprint
    server.stop()
    server.options += ["--tls-names", "box.example"]
    server.start()
    # Whoever pinned it goes on; the owner reads what to do.
    assert server.fingerprint == fingerprint and "created without box.example" in server.log.read_text()
    done = run("doctor", "--state", server.state, environment=server.settings)
    assert done.returncode == 1 and "BAD certificate: created without box.example" in done.stdout, done.stdout
    server.stop()
    Path(f"{server.state}/self-signed.pem").unlink()
    server.start()
    assert server.fingerprint != fingerprint
    assert "ok  certificate" in run("doctor", "--state", server.state, environment=server.settings).stdout


def test_doctor_says_what_is_well_and_what_is_not(make_server):
    server = make_server(tls=True)
    port = server.address.rsplit(":", 1)[1]
    environment = {"POSTERN_HTTPS": f"127.0.0.1:{port}"}
    done = run("doctor", "--state", server.state, environment=environment)
    assert done.returncode == 0, done.stdout
    assert all(line.startswith("ok ") for line in done.stdout.splitlines()) and f"responds on port {port}" in done.stdout
    # Flags that the server was started with are not known here; the address that it has kept is.
    assert f"ok  server: responds on port {port}" in run("doctor", "--state", server.state).stdout
    os.chmod(server.state + "/master.key", 0o644)
    server.stop()
    done = run("doctor", "--state", server.state, environment=environment)
    assert done.returncode == 1 and "chmod 600" in done.stdout and "is not running" in done.stdout
