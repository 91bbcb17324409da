"""Guests without an account: a link is enough, on a machine that was never signed in; the host sees what they are."""

import re
import subprocess

import pytest

from conftest import PATIENCE, POSTERN, clean_environment, wait_for


@pytest.fixture
def secure(make_server):
    return make_server("--joins-per-minute", "100000", "--public-calls-per-minute", "100000", tls=True)


@pytest.fixture
def stranger(tmp_path):
    """The environment of a machine that was never signed in."""
    home = tmp_path / "stranger"
    home.mkdir()
    yield {**clean_environment(), "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "TERM": "xterm-256color"}
    assert not list(home.iterdir()), "a guest without an account stores nothing"


def join(stranger, *arguments, text=""):
    return subprocess.run([POSTERN, "join", *arguments], env=stranger, input=text.encode(), capture_output=True,
                          timeout=PATIENCE)


def organisation(person):
    return next(one for one in person.call("GET", "/organisations")[1] if one["isPersonal"])


def test_a_link_is_enough_and_the_host_sees_what_its_guest_is(secure, shares, stranger):
    ana = secure.user("ana")
    share = ana.share("--", "sh", "-c", "read word; echo got $word")
    shares.append(share)
    done = join(stranger, "--name", "Eve", share.code("control")["url"], text="linked\n")
    assert done.returncode == 0 and b"got linked" in done.stdout, done.stderr
    joined = share.wait("guest_joined")
    assert joined["name"] == "Eve (no account)"
    own = organisation(ana)["id"]
    (event,) = [one for one in ana.call("GET", f"/organisations/{own}/audit")[1]
                if one["action"] == "session.guest_joined"]
    assert (event["actor"], event["detail"], event["target"]) == (
        "a guest without an account", "control", share.session_id)
    assert event["address"] == "127.0.0.1"
    usage = {one["unit"]: one["amount"] for one in ana.call("GET", f"/organisations/{own}/usage")[1]}
    assert usage["guest_minutes"] >= 1 and usage["peak_peers"] == 2


def test_words_need_a_server_and_may_be_spoken(secure, shares, stranger):
    ana = secure.user("ana")
    share = ana.share("--", "sh", "-c", "read word; echo got $word")
    shares.append(share)
    words = share.invitation("control").replace("-", " ")
    refused = join(stranger, *words.split())
    assert refused.returncode == 1 and b"add --server https://HOST" in refused.stderr
    mistyped = join(stranger, *words.split()[:2], "cactuss", "violin", "--server", secure.url)
    assert mistyped.returncode == 2 and b"'cactuss' is not one of the words; did you mean 'cactus'?" in mistyped.stderr
    done = join(stranger, "--server", secure.url, "--fingerprint", secure.fingerprint, *words.upper().split(),
                text="spoken\n")
    assert b"got spoken" in done.stdout, done.stderr


def test_a_token_is_not_shown_to_another_server(secure, make_server, shares):
    """Whoever is signed in elsewhere joins by a link as a guest without an account."""
    other = make_server(name="other")
    ana, ben = secure.user("ana"), other.user("ben")
    share = ana.share("--", "sh", "-c", "read word; echo got $word")
    shares.append(share)
    done = subprocess.run([POSTERN, "join", share.code("control")["url"]], env=ben.environment, input=b"x\n",
                          capture_output=True, timeout=PATIENCE)
    assert b"got x" in done.stdout, done.stderr
    assert share.wait("guest_joined")["name"] == "a guest without an account"


def test_the_host_is_asked_in_words_that_do_not_look_like_an_account(secure, tmux, stranger):
    ana = secure.user("ana")
    host = tmux.pane("host", f"POSTERN_FINGERPRINT={secure.fingerprint} {POSTERN} share --approve -- sh",
                     ana.environment, 100, 30)
    host.wait("in a browser:")
    banner = tmux.run("capture-pane", "-p", "-J", "-t", "host")
    link = re.search(r"(https://\S+/j/\S+)", banner).group(1)
    guest = subprocess.Popen([POSTERN, "join", "--name", "ana", link], env=stranger, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        host.wait("a guest without an account asks to type, using the name “ana”")
        host.key("n")
        _, error = guest.communicate(timeout=PATIENCE)
        assert b"the host did not admit you" in error
    finally:
        guest.kill()
        guest.communicate()


def test_an_organisation_and_a_plan_can_ask_for_accounts(make_server, shares, stranger):
    server = make_server("--plan-limits", "free.maxGuestsWithoutAccount=0,pro.maxGuestsWithoutAccount=1")
    ana = server.user("ana")
    own = organisation(ana)
    assert own["takesGuestsWithoutAccount"] is True
    share = ana.share("--", "cat")
    shares.append(share)
    link = share.code("read")["url"]
    ana.call("PATCH", f"/organisations/{own['id']}", {"takesGuestsWithoutAccount": False})
    refused = join(stranger, link)
    assert refused.returncode == 1 and b"takes guests with an account only; run 'postern login http" in refused.stderr
    assert organisation(ana)["takesGuestsWithoutAccount"] is False
    ana.call("PATCH", f"/organisations/{own['id']}", {"takesGuestsWithoutAccount": True})
    root = server.user("root", "--admin")
    root.call("PUT", f"/organisations/{own['id']}/plan", {"plan": "free"})
    assert b"with an account only" in join(stranger, link).stderr
    root.call("PUT", f"/organisations/{own['id']}/plan", {"plan": "pro"})
    first = subprocess.Popen([POSTERN, "join", link], env=stranger, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        share.wait("guest_joined")
        second = join(stranger, link)
        assert b"Limit of guests without an account reached (1)" in second.stderr
        # One with an account still comes in.
        ben = server.user("ben").join(link)
        share.wait("guest_joined", name="ben")
        ben.kill()
        ben.communicate()
    finally:
        first.kill()
        first.wait(PATIENCE)


def test_a_code_is_tried_twice_an_hour_from_one_address(secure, shares, stranger):
    ana, ben = secure.user("ana"), secure.user("ben")
    share = ana.share("--", "cat")
    shares.append(share)
    link = share.code("read")["url"]
    # The code, and not the secret.
    base, secret = link.split("#")
    wrong = f"{base}#{'0' * 32}{secret[32:]}"
    for _ in range(2):
        assert b"the words are wrong" in join(stranger, wrong).stderr
        share.wait("wrong_secret")
    wait_for(lambda: re.search(rb"try again in \d+ s", join(stranger, wrong).stderr), "the wait")
    # Nobody guesses a link: the code still works for those who have it.
    guest = ben.join(link)
    share.wait("guest_joined", name="ben")
    guest.kill()
    guest.communicate()


def test_seats_of_guests_without_an_account_outlive_a_restart(secure, shares, stranger):
    ana = secure.user("ana")
    share = ana.share("--", "sh", "-c", "read word; echo got $word")
    shares.append(share)
    guest = subprocess.Popen([POSTERN, "join", share.code("control")["url"]], env=stranger, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        share.wait("guest_joined")
        secure.restart()
        share.wait("reconnected")
        output, error = guest.communicate(b"again\n", timeout=4 * PATIENCE)
        assert b"got again" in output, error
    finally:
        guest.kill()
        guest.communicate()


def test_the_host_makes_new_codes_while_it_shares(server, ana, ben, tmux):
    """A code that died, or that too many people know, is replaced; whoever is here stays."""
    host = tmux.pane("host", f"{POSTERN} share -- bash --norc", ana.environment, 140, 30)
    host.wait("in a browser:")
    banner = tmux.run("capture-pane", "-p", "-J", "-t", "host")
    old = re.search(r"type along:\s+postern join (\S+)", banner).group(1)
    guest = tmux.pane("guest", f"{POSTERN} join {old}", ben.environment, 140, 30)
    guest.wait("$")
    host.key("C-]")
    host.wait("c codes")
    host.type("c")
    host.wait("n new codes")
    host.type("n")
    new = wait_for(lambda: [code for code in re.findall(r"type along:\s+postern join (\S+)", host.screen) if code != old],
                   "new codes")[0]
    host.key("Escape")
    assert b"has been revoked" in ben.join(old).communicate(timeout=PATIENCE)[1]
    second = tmux.pane("second", f"{POSTERN} join {new}", ben.environment, 140, 30)
    second.wait("$")
    second.type("echo here\n")
    guest.wait("\nhere")
    # Also by its new code a share cannot be joined from inside.
    host.type(f"{POSTERN} join --server {server.url} {new}\n")
    host.wait("this is the terminal that is shared")
