"""Bad use of the command line: one sentence that says what is wrong and what to do, and the documented exit status."""

import json
import os
import pty
import re
import select
import subprocess

import pytest

from conftest import PATIENCE, POSTERN
from test_http import listening


def run(*arguments, environment=None, stdin=subprocess.DEVNULL, text=None):
    done = subprocess.run([POSTERN, *arguments], env=environment, capture_output=True, text=True, timeout=PATIENCE,
                          **({"input": text} if text is not None else {"stdin": stdin}))
    return done.returncode, done.stdout, done.stderr


def one_sentence(error):
    assert error.startswith("postern: ") and error.count("\n") == 1 and "Fatal" not in error, error
    return error


def empty(tmp_path):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("POSTERN_")}
    return {**clean, "XDG_CONFIG_HOME": str(tmp_path / "config")}


def test_help_has_an_example_for_every_verb():
    verbs = [[]]

    def walk(command, path):
        for sub in command.get("subcommands", []):
            if sub["commandName"] != "help":
                verbs.append(path + [sub["commandName"]])
                walk(sub, verbs[-1])
    walk(json.loads(run("--experimental-dump-help")[1])["command"], [])
    assert ["demo"] in verbs and ["config", "check"] in verbs and len(verbs) > 40
    for verb in verbs:
        status, text, _ = run(*verb, "--help")
        assert status == 0 and (f"Example: {'sudo ' if 'Example: sudo' in text else ''}postern {' '.join(verb)}" in text
                                or "Example:" in text or "On the server:" in text), verb


def test_completions_complete():
    script = run("--generate-completion-script", "bash")[1]
    done = subprocess.run(["bash", "-c", script + "\nCOMP_WORDS=(postern conf); COMP_CWORD=1; COMP_LINE='postern conf'; COMP_POINT=12\n"
                           "$(complete -p postern | grep -o '\\-F [^ ]*' | cut -c4-) postern conf postern; printf '%s\\n' \"${COMPREPLY[@]}\""],
                          capture_output=True, text=True)
    assert "config" in done.stdout.split(), done.stdout + done.stderr
    for shell in ("zsh", "fish"):
        text = run("--generate-completion-script", shell)[1]
        assert "incident" in text and "organisation" in text


def test_a_demo_shows_a_share_and_leaves_nothing(tmp_path):
    """In a terminal: a guest joins with the line that is printed, and all is gone when the command ends."""
    leader, follower = pty.openpty()
    environment = {**empty(tmp_path), "TMPDIR": str(tmp_path), "TERM": "xterm"}
    demo = subprocess.Popen([POSTERN, "demo", "--", "sh", "-c", "read line; echo it-said-$line"], stdin=follower, stdout=follower,
                            stderr=subprocess.PIPE, env=environment, start_new_session=True)
    os.close(follower)
    shown = b""

    def until(text):
        nonlocal shown
        while text not in shown:
            ready, _, _ = select.select([leader], [], [], PATIENCE)
            assert ready, shown
            shown += os.read(leader, 65536)
    until(b"Ctrl-]")
    configuration = re.search(rb"XDG_CONFIG_HOME=(\S+)", shown).group(1).decode()
    invitation = re.search(rb"to type along:  postern join (\S+)", shown).group(1).decode()
    guest = subprocess.Popen([POSTERN, "join", invitation], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={**environment, "XDG_CONFIG_HOME": configuration})
    guest.stdin.write(b"hello\n")
    guest.stdin.flush()
    until(b"it-said-hello")
    guest.communicate(timeout=PATIENCE)
    assert demo.wait(PATIENCE) == 0
    demo.stderr.close()
    os.close(leader)
    assert os.listdir(tmp_path) == [] and not subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True).stdout


def test_a_demo_wants_a_terminal(tmp_path):
    status, _, error = run("demo", environment=empty(tmp_path))
    assert status == 2 and "needs a terminal" in one_sentence(error)


def test_version():
    text = run("version")[1]
    assert re.fullmatch(r"postern \d+\.\d+\.\d+\nOpenSSL 3\.\S+ .*\nSQLite 3\.\S+\nlibyaml \S+\n", text), text
    inside = json.loads(run("version", "--json")[1])
    assert set(inside) == {"postern", "openssl", "sqlite", "libyaml"} and inside["sqlite"] in text


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["serve", "--nonsense"], ["serve", "--state", "x", "--http", "nonsense"], ["serve", "--state", "x", "--http", "a:99999"],
    ["user", "add", "bad name", "--state", "x"], ["user", "add", "x", "--plan", "gold", "--state", "x"], ["login"],
    ["share", "--nonsense"], ["share", "--name", "x" * 300], ["serve", "--state", "x", "--host-return", "0"],
])
def test_wrong_usage_is_2(arguments, tmp_path):
    status, _, error = run(*arguments, environment=empty(tmp_path))
    assert status == 2 and ("Error:" in error or "has mistakes" in error or "there is no command" in error), (status, error)


def test_not_signed_in(tmp_path):
    for verb, remedy in ((["share"], "postern login URL"), (["join", "SYCLX-000000-a-b"], "add --server https://HOST")):
        status, _, error = run(*verb, environment=empty(tmp_path))
        assert status == 1 and remedy in one_sentence(error)


def test_login_stores_the_token_for_the_owner_alone(server, ana, tmp_path):
    environment = empty(tmp_path)
    file = tmp_path / "token"
    file.write_text(ana.token + "\n")
    for arguments, text in ((["--token-file", str(file)], None), (["--token-file", "-"], ana.token), ([], ana.token)):
        status, out, error = run("login", server.url, *arguments, environment=environment, text=text)
        assert status == 0 and "as ana" in out, error
        stored = tmp_path / "config/postern/credentials.json"
        assert stored.stat().st_mode & 0o777 == 0o600
        stored.unlink()
    status, _, error = run("login", server.url, environment=environment, text="pst_wrong")
    assert status == 1 and "does not accept your token" in one_sentence(error) and not stored.exists()
    status, _, error = run("login", server.url, "--token-file", "/nonexistent", environment=environment)
    assert status == 1 and "cannot read /nonexistent" in one_sentence(error)


def test_login_asks_without_echo(server, ana, tmp_path):
    import pexpect
    child = pexpect.spawn(POSTERN, ["login", server.url], env=empty(tmp_path), encoding="utf-8", timeout=PATIENCE)
    child.expect("not shown")
    child.sendline(ana.token)
    child.expect("Signed in")
    assert ana.token not in child.before
    child.expect(pexpect.EOF)


def test_login_takes_a_name_alone_and_y(make_server, tmp_path):
    import pexpect
    server = make_server(tls=True)
    ana = server.user("ana")
    host = server.url.split("//")[1]
    child = pexpect.spawn(POSTERN, ["login", host], env=empty(tmp_path), encoding="utf-8", timeout=PATIENCE)
    child.expect(server.fingerprint)
    child.sendline("y")
    child.expect("not shown")
    child.sendline(ana.token)
    child.expect(f"Signed in to https://{host}")
    child.expect(pexpect.EOF)


def test_a_new_account_is_told_the_whole_command(server):
    text = run("user", "add", "carla", "--state", server.state)[1]
    assert f"  postern login {server.url}\n" in text, text


def test_the_command_for_a_new_account_carries_the_fingerprint(make_server):
    server = make_server(tls=True)
    text = run("user", "add", "carla", "--state", server.state)[1]
    assert f"  postern login {server.url} --fingerprint {server.fingerprint}\n" in text, text


def test_wrong_addresses(server, ana):
    def share(url):
        return run("share", "--", "true", environment={**ana.environment, "POSTERN_URL": url})
    assert share("ftp://x")[0] == 2
    assert share("http://")[0] == 2
    status, _, error = share("https://127.0.0.1:1")
    assert status == 75 and "is the server running?" in one_sentence(error)
    status, _, error = share("http://127.0.0.1:1")
    assert status == 75 and "is the server running?" in one_sentence(error)
    status, _, error = share("http://no-such-host.invalid")
    assert status == 75 and "host name cannot be resolved" in one_sentence(error)


def test_a_server_that_is_down(make_server):
    server = make_server()
    ana = server.user("ana")
    server.stop()
    for verb in (["share"], ["join", "SYCLX-000000-a-b"]):
        status, _, error = run(*verb, environment=ana.environment)
        assert status == 75 and "is the server running?" in one_sentence(error)


def test_a_port_that_is_taken(server, tmp_path):
    status, _, error = run("serve", "--state", str(tmp_path / "other"), "--http", server.address)
    assert status == 1 and "cannot listen" in error and "address already in use" in error


def test_two_servers_do_not_share_a_state_directory(server):
    status, _, error = run("serve", "--state", server.state, "--http", "127.0.0.1:0")
    assert status == 1 and "stop it first" in one_sentence(error)
    assert server.call("GET", "/health")[0] == 200


def test_a_database_of_a_newer_version(server, tmp_path):
    import sqlite3
    server.stop()
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    status, _, error = run("serve", "--state", server.state)
    assert status == 1 and "install a newer Postern" in one_sentence(error)


def test_codes_that_let_nobody_in(server, ana, ben, shares):
    def join(code):
        return run("join", code, environment=ben.environment)
    share = ana.share("--", "sleep", "1000")
    shares.append(share)
    name, words = share.code("control")["code"], share.code("control")["secret"]
    for text in ("nonsense", name, f"{name}-one", "SYCLX-1-a-b"):
        status, _, error = join(text)
        assert status == 2 and "is not an invitation" in one_sentence(error)
    status, _, error = join("SYCLX-000000-a-b")
    assert status == 1 and "does not exist" in one_sentence(error)
    status, _, error = join(f"{name}-zebra-zebra")
    assert status == 1 and "the words are wrong" in one_sentence(error)
    session = share.session_id
    once = ana.call("POST", f"/sessions/{session}/codes", {"permission": "read", "maxUses": 1})[1]["code"]
    status, _, error = join(f"{once}-a-b")
    assert status == 1 and "host does not know code" in one_sentence(error)
    # Whoever proves nothing uses nothing up.
    status, _, error = join(f"{once}-a-b")
    assert status == 1 and "host does not know code" in one_sentence(error)
    late = ana.call("POST", f"/sessions/{session}/codes", {"permission": "read", "expiresInMinutes": 1})[1]["code"]
    import sqlite3
    with sqlite3.connect(f"{server.state}/postern.db") as database:  # A minute later, without the minute.
        database.execute("UPDATE share_codes SET expires_at = 1 WHERE code = ?", (late,))
        database.execute("UPDATE share_codes SET current_uses = 1 WHERE code = ?", (once,))
    database.close()
    status, _, error = join(f"{once}-a-b")
    assert status == 1 and "used up to its limit" in one_sentence(error)
    status, _, error = join(f"{late}-a-b")
    assert status == 1 and "has expired" in one_sentence(error)
    ana.call("DELETE", f"/codes/{name}")
    status, _, error = join(f"{name}-{words}")
    assert status == 1 and "revoked" in one_sentence(error)
    ana.call("DELETE", f"/sessions/{session}")
    status, _, error = join(share.invitation("read"))
    assert status == 1 and "has ended" in one_sentence(error)


def test_five_wrong_tries_kill_a_code_and_the_right_words_no_longer_help(server, ana, ben, shares):
    share = ana.share("--", "sleep", "1000")
    shares.append(share)
    name = share.code("control")["code"]
    for _ in range(5):
        status, _, error = run("join", f"{name}-zebra-zebra", environment=ben.environment)
        assert status == 1 and "the words are wrong" in error
    share.wait("code_dead", code=name)
    status, _, error = run("join", share.invitation(), environment=ben.environment)
    assert status == 1 and ("too often" in error or "revoked" in error), error
    # The other code is another secret.
    assert not run("join", f"{share.code('read')['code']}-x-y", environment=ben.environment)[2].count("too often")


def test_plan_limits_are_told_to_the_host(server):
    free = server.user("free", "--plan", "free")
    first = free.share("--", "sleep", "1000")
    try:
        status, _, error = run("share", "--", "true", environment=free.environment)
        assert status == 1 and one_sentence(error) == "postern: Share limit reached (1). Upgrade to Pro for more.\n"
    finally:
        first.end()
    # The share ended with its command: the next one may start.
    again = free.share("--", "true")
    again.wait("exited", status=0)
    again.end()


def test_approve_needs_a_terminal(ana):
    status, _, error = run("share", "--approve", environment=ana.environment)
    assert status == 2 and "--approve" in one_sentence(error)


def test_the_version_is_an_option_as_well():
    version = json.loads(run("version", "--json")[1])["postern"]
    assert run("--version") == (0, f"postern {version}\n", "")


def test_what_is_no_backup_is_said_to_be_none(tmp_path):
    status, _, error = run("restore", "/etc/passwd", "--state", str(tmp_path / "state"))
    assert status == 1 and one_sentence(error) == "postern: /etc/passwd is not a Postern backup\n"


@pytest.mark.parametrize("words, near", [
    (["joni"], "did you mean 'join'?"), (["help", "tunel"], "did you mean 'tunnel'?"), (["frobnicate", "--json"], "postern --help")])
def test_a_command_that_does_not_exist_names_the_nearest(words, near):
    status, out, error = run(*words)
    assert (status, out) == (2, "") and f"there is no command '{words[-1] if words[0] == 'help' else words[0]}'" in one_sentence(error)
    assert near in error


def test_a_plain_port_is_not_taken_for_somebody_else(make_server):
    server = make_server("--http", "127.0.0.1:0", tls=True)
    user = server.user("ana")
    port = next(port for port in listening(server.process.pid) if not server.address.endswith(f":{port}"))
    plain = {**user.environment, "POSTERN_URL": f"http://127.0.0.1:{port}", "POSTERN_FINGERPRINT": ""}
    assert "use https://" in one_sentence(run("share", "--", "true", environment=plain)[2])
    # A certificate that nobody vouches for: what to do.
    unknown = {key: value for key, value in user.environment.items() if key != "POSTERN_FINGERPRINT"}
    assert "POSTERN_FINGERPRINT" in one_sentence(run("share", "--", "true", environment=unknown)[2])
