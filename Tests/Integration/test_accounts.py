"""Accounts as people and programs use them: passwords, second factors, refresh tokens, revocation, pages, limits."""

import asyncio
import base64
import concurrent.futures
import hashlib
import hmac
import json
import re
import sqlite3
import struct
import subprocess
import time
import urllib.parse

import pytest

from conftest import POSTERN, clean_environment, wait_for
from people import PASSWORD, Browser, Person, team, token_for
from test_relay import Frame, Peer, Room, run as run_peers


def run(server, *arguments, stdin=""):
    return subprocess.run([POSTERN, *arguments, "--state", server.state], input=stdin, capture_output=True, text=True,
                          env=clean_environment())


def code(secret, offset=0):
    """What an authenticator app shows (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + offset), hashlib.sha1).digest()
    start = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[start:start + 4])[0] & 0x7FFFFFFF) % 10 ** 6:06d}"


@pytest.fixture
def ana(server):
    return Person(server, "ana")


# Passwords and tokens


def test_a_password_gives_tokens_that_work_for_their_purpose_only(server, ana):
    status, made = ana.sign_in()
    assert status == 200 and made["expiresIn"] == 900 and re.fullmatch(r"[A-Za-z0-9._-]{10,2048}", made["accessToken"])
    assert server.call("GET", "/auth/me", token=made["accessToken"])[1]["username"] == "ana"
    claims = json.loads(base64.urlsafe_b64decode(made["accessToken"].split(".")[1] + "=="))
    assert claims["purpose"] == "access" and claims["plan"] == "enterprise" and claims["limits"]["maxShares"] == -1
    # A refresh token is no access token, an access token no refresh token, and a cookie's secret neither.
    assert server.call("GET", "/auth/me", token=made["refreshToken"])[0] == 401
    assert server.call("POST", "/auth/refresh", {"refreshToken": made["accessToken"]})[0] == 401
    browser = Browser(server)
    assert browser.sign_in(ana).status == 303
    assert server.call("GET", "/auth/me", token=browser.cookies["__Host-postern"])[0] == 401
    assert server.call("POST", "/auth/refresh", {"refreshToken": browser.cookies["__Host-postern"]})[0] == 401
    browser.cookies["__Host-postern"] = made["refreshToken"]
    assert browser.get("/account").location == "/sign-in?next=/account"
    assert server.call("GET", "/auth/me", token=ana.pst)[0] == 200


@pytest.mark.parametrize("change", ["none", "signature", "payload", "purpose"])
def test_a_token_that_somebody_else_made_is_refused(server, ana, change):
    ana.sign_in()
    head, payload, signature = ana.access.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=="))
    encode = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    forged = {"none": f"{encode({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
              "signature": f"{head}.{payload}.{'A' * len(signature)}",
              "payload": f"{head}.{encode({**decoded, 'sub': 'x'})}.{signature}",
              "purpose": f"{head}.{encode({**decoded, 'purpose': 'second_factor'})}.{signature}"}[change]
    assert server.call("GET", "/auth/me", token=forged)[0] == 401


def test_refresh_tokens_rotate_and_the_second_use_ends_the_sign_in(server, ana):
    ana.sign_in()
    first = ana.refresh
    status, renewed = server.call("POST", "/auth/refresh", {"refreshToken": first})
    assert status == 200 and renewed["refreshToken"] != first
    assert server.call("GET", "/auth/me", token=renewed["accessToken"])[0] == 200
    # A thief comes with the old one, or the owner does after the thief: either way it is over for both.
    assert server.call("POST", "/auth/refresh", {"refreshToken": first})[0] == 401
    assert server.call("POST", "/auth/refresh", {"refreshToken": renewed["refreshToken"]})[0] == 401
    assert server.call("GET", "/auth/me", token=renewed["accessToken"])[0] == 401
    events = [json.loads(line) for line in
              run(server, "audit", "list", "--organisation", "ana", "--json").stdout.splitlines()]
    assert events[0]["action"] == "account.refresh_token_reused" and events[0]["result"] == "refused"


def test_five_wrong_passwords_block_an_account_and_the_sixth_right_one_waits(server, ana):
    for _ in range(5):
        status, answer = ana.server.call("POST", "/auth/sign-in", {"username": "ana", "password": "wrong"})
        assert (status, answer["code"]) == (401, "sign_in_failed")
    status, answer = ana.sign_in()
    assert (status, answer["code"]) == (429, "rate_limited") and "900 s" in answer["message"]
    assert "Too many sign-ins to the account ana" in server.log.read_text()
    # Others go on.
    assert Person(server, "ben").sign_in()[0] == 200


def test_guesses_at_once_are_counted_before_they_are_answered(server, ana):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        guess = lambda n: server.call("POST", "/auth/sign-in", {"username": "ana", "password": f"wrong{n}"})[0]
        statuses = list(pool.map(guess, range(16)))
    assert statuses.count(401) == 5 and statuses.count(429) == 11


def test_an_address_is_blocked_however_many_accounts_it_tries(server):
    statuses = [server.call("POST", "/auth/sign-in", {"username": f"nobody{n}", "password": "wrong"})[0] for n in range(21)]
    assert statuses == [401] * 20 + [429]


def test_an_unknown_account_is_told_nothing_else(server, ana):
    unknown = server.call("POST", "/auth/sign-in", {"username": "nobody", "password": "wrong"})
    known = server.call("POST", "/auth/sign-in", {"username": "ana", "password": "wrong"})
    for _, answer in (unknown, known):
        del answer["requestId"]
    assert unknown == known


def test_the_hash_is_scrypt_with_its_parameters_and_no_password_lies_anywhere(server, ana):
    with sqlite3.connect(f"file:{server.state}/postern.db?mode=ro", uri=True) as database:
        (stored,) = database.execute("SELECT hash FROM passwords").fetchone()
    match = re.fullmatch(r"\$scrypt\$ln=15,r=8,p=([1-6])\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})", stored)
    salt, expected = (base64.b64decode(match.group(n) + "==") for n in (2, 3))
    made = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2 ** 15, r=8, p=int(match.group(1)), maxmem=1 << 28, dklen=32)
    assert made == expected[:32]
    assert PASSWORD not in server.log.read_text()


# Revocation


@pytest.mark.parametrize("how", ["sign out", "elsewhere", "token revoke", "user disable", "user remove"])
def test_what_is_revoked_ends_at_once_also_on_open_connections(server, ana, how):
    ben = Person(server, "ben")
    ana.sign_in()

    async def body():
        room = Room(server, ben.api)
        await room.host()
        token = ana.pst if how in ("token revoke", "user disable", "user remove") else ana.access
        peer = await Peer.connect(server)
        peer.ack = await peer.ask("joinAsGuest", token=token, code=room.codes["read"], guestPublicKey="k")
        assert peer.ack["success"], peer.ack
        if how == "sign out":
            assert ana.call("POST", "/auth/sign-out")[0] == 204
        elif how == "elsewhere":
            old = ana.access
            ana.sign_in()
            assert ana.call("DELETE", "/auth/sign-ins")[0] == 204
            assert server.call("GET", "/auth/me", token=old)[0] == 401
        elif how == "token revoke":
            (listed,) = [one for one in ana.call("GET", "/tokens")[1] if not one.get("revokedAt")]
            assert run(server, "token", "revoke", listed["id"]).returncode == 0
        elif how == "user disable":
            assert run(server, "user", "disable", "ana").returncode == 0
        else:
            assert run(server, "user", "remove", "ana", "--yes").returncode == 0
        assert (await peer.closed())[0] == 4401
        again = await Peer.connect(server)
        assert not (await again.ask("resume", resumeToken=peer.ack["resumeToken"], lastSequence=0))["success"]

    run_peers(body)


def test_a_disabled_account_can_do_nothing_and_an_enabled_one_has_lost_nothing(server, ana):
    ana.sign_in()
    held = ana.access
    assert run(server, "user", "disable", "ana").stdout.startswith("ana is disabled.")
    assert [server.call("GET", "/auth/me", token=one)[0] for one in (held, ana.pst)] == [401, 401]
    assert server.call("POST", "/auth/sign-in", {"username": "ana", "password": PASSWORD})[0] == 401
    assert '"isDisabled":true' in run(server, "user", "list", "--json").stdout
    assert run(server, "user", "enable", "ana").returncode == 0
    assert server.call("GET", "/auth/me", token=ana.pst)[0] == 200
    assert server.call("GET", "/auth/me", token=held)[0] == 401, "what was ended stays ended"
    ana.sign_in()


def test_a_disabled_account_does_not_come_back_into_a_room_by_a_restart_and_an_enabled_one_is_not_put_out(server, ana):
    ben = Person(server, "ben")

    async def body():
        room = Room(server, ana.api)
        host, guest = await room.host(), await room.guest(ben.api)
        server.stop()
        assert run(server, "user", "disable", "ben").returncode == 0
        server.start()
        again = await Peer.connect(server)
        assert not (await again.ask("resume", resumeToken=guest.ack["resumeToken"], lastSequence=0))["success"]
        assert run(server, "user", "enable", "ben").returncode == 0
        # A server that runs remembers for ten seconds whom it put out; one that starts must not know of it.
        server.restart()
        guest = await room.guest(ben.api)
        assert guest.ack["success"], guest.ack
        server.restart()
        again = await Peer.connect(server)
        assert (await again.ask("resume", resumeToken=guest.ack["resumeToken"], lastSequence=0))["success"]
    run_peers(body)


def test_the_last_administrator_cannot_be_disabled(server):
    assert run(server, "user", "add", "root", "--admin").returncode == 0
    refused = run(server, "user", "disable", "root")
    assert refused.returncode != 0 and "last administrator" in refused.stderr
    assert '"isDisabled":false' in run(server, "user", "list", "--json").stdout


def test_a_host_whose_token_is_revoked_loses_the_seat_and_takes_it_again_with_a_good_one(server, ana):
    async def body():
        room = Room(server, ana.api)
        host = await room.host()
        (listed,) = [one for one in ana.call("GET", "/tokens")[1] if not one.get("revokedAt")]
        assert ana.call("DELETE", f"/tokens/{listed['id']}")[0] == 204
        assert (await host.closed())[0] == 4401
        ana.sign_in()
        again = await Peer.connect(server)
        assert (await again.ask("joinAsHost", token=ana.access, sessionId=room.id))["success"]

    run_peers(body)


def test_a_new_password_and_a_reset_end_what_was_signed_in_before(server, ana):
    ana.sign_in()
    old = ana.access
    ana.sign_in()
    assert ana.call("POST", "/auth/password", {"oldPassword": "wrong", "newPassword": "other random words"})[0] == 403
    assert ana.call("POST", "/auth/password", {"oldPassword": PASSWORD, "newPassword": "short"})[0] == 400
    assert ana.call("POST", "/auth/password", {"oldPassword": PASSWORD, "newPassword": "other random words"})[0] == 204
    assert server.call("GET", "/auth/me", token=old)[0] == 401
    assert ana.call("GET", "/auth/me")[0] == 200
    made = json.loads(run(server, "user", "reset", "ana", "--json").stdout)
    assert ana.call("GET", "/auth/me")[0] == 401
    secret = made["resetLink"].rsplit("/", 1)[1]
    browser = Browser(server)
    assert "New password" in browser.get(f"/reset/{secret}").text
    assert browser.post(f"/reset/{secret}", password=PASSWORD).status == 200
    assert browser.get(f"/reset/{secret}").status == 410
    assert ana.sign_in()[0] == 200


def test_a_form_that_failed_shows_its_page_again(server, ana):
    browser = Browser(server)
    browser.sign_in(ana)
    fields = {"form": browser.token("/organisation"), "id": "nothing"}
    for referer in (f"{server.url}/organisation?after=x", "https://elsewhere.test//elsewhere.test/", ""):
        answer = browser.request("POST", "/organisation/switch", fields, {"Referer": referer})
        assert answer.status >= 400 and "A new organisation" in answer.text and 'role="alert"' in answer.text
        assert "elsewhere" not in answer.text


def test_a_new_account_sets_its_first_password_and_keeps_its_token(server):
    made = json.loads(run(server, "user", "add", "mia", "--json").stdout)
    assert made["passwordLink"].startswith(server.url + "/reset/")
    browser = Browser(server)
    link = "/reset/" + made["passwordLink"].rsplit("/", 1)[1]
    assert browser.post(link, password=PASSWORD).status == 200
    assert server.call("GET", "/auth/me", token=made["token"])[0] == 200
    assert server.call("POST", "/auth/sign-in", {"username": "mia", "password": PASSWORD, "client": "test"})[0] == 200
    assert browser.get(link).status == 410


# Second factor


def test_a_second_factor_from_setting_it_up_to_losing_the_phone(server, ana):
    ana.sign_in()
    status, seed = ana.call("POST", "/auth/second-factor")
    assert status == 201 and seed["uri"].startswith("otpauth://totp/")
    assert ana.call("POST", "/auth/second-factor/confirm", {"code": "000000"})[0] == 403
    status, made = ana.call("POST", "/auth/second-factor/confirm", {"code": code(seed["secret"], -1)})
    assert status == 200 and len(set(made["recoveryCodes"])) == 10
    # The password alone is not enough, and every code works once.
    assert ana.sign_in()[1]["code"] == "second_factor_required"
    now = code(seed["secret"])
    assert ana.sign_in(code=now)[0] == 200
    assert ana.sign_in(code=now)[1]["code"] == "code_wrong"
    assert ana.sign_in(code=made["recoveryCodes"][0].upper())[0] == 200
    assert ana.sign_in(code=made["recoveryCodes"][0])[0] == 401
    assert ana.call("GET", "/auth/second-factor")[1] == {"isOn": True, "recoveryCodesLeft": 9}
    # In a browser it is a page of its own.
    browser = Browser(server)
    assert browser.sign_in(ana).location == "/sign-in/code"
    assert browser.get("/account").status == 303
    assert browser.post("/sign-in/code", code="123456").status == 401
    answer = browser.post("/sign-in/code", code=made["recoveryCodes"][1])
    assert answer.status == 303 and browser.get("/account").status == 200
    assert ana.call("POST", "/auth/second-factor/off", {"code": made["recoveryCodes"][2]})[0] == 204
    assert ana.sign_in()[0] == 200


def test_without_the_factor_a_sign_in_is_strong_no_more(server, ana):
    ana.sign_in()
    organisation = team(ana, [])
    seed = ana.call("POST", "/auth/second-factor")[1]["secret"]
    codes = ana.call("POST", "/auth/second-factor/confirm", {"code": code(seed, -1)})[1]["recoveryCodes"]
    ana.sign_in(code=codes[0])
    assert ana.call("PATCH", f"/organisations/{organisation}", {"requiresSecondFactor": True})[0] == 200
    assert ana.call("POST", "/auth/second-factor/off", {"code": codes[1]})[0] == 204
    assert ana.call("GET", f"/organisations/{organisation}/members")[1]["code"] == "second_factor_required"


def test_access_tokens_do_not_renew_themselves_and_tokens_make_no_tokens(server, ana):
    ana.sign_in()
    assert server.call("POST", "/auth/token", token=ana.access)[0] == 401
    assert server.call("POST", "/auth/token", token=ana.pst)[0] == 200
    assert ana.call("POST", "/tokens", {"name": "child"}, token=ana.pst)[1]["code"] == "sign_in_needed"
    status, made = ana.call("POST", f"/organisations/{ana.id}/switch")
    assert status == 200 and made["expiresIn"] <= 900


def test_a_token_grants_no_more_than_its_scopes(server, ana):
    ana.sign_in()
    organisation = team(ana, [])
    token = ana.call("POST", "/tokens", {"name": "bot", "scopes": ["tenant:manage_members", "tenant:read"]},
                     token=token_for(ana, organisation))[1]["token"]
    path = f"/organisations/{organisation}/invitations"
    assert ana.call("POST", path, {"role": "owner"}, token=token)[1]["code"] == "not_allowed"
    assert ana.call("POST", path, {"role": "admin"}, token=token)[1]["code"] == "not_allowed"


def test_what_a_removed_member_has_made_lets_nobody_in(server, ana):
    eve, friend = Person(server, "eve"), Person(server, "friend")
    organisation = team(ana, [(eve, "admin")])
    secret = eve.call("POST", f"/organisations/{organisation}/invitations", {"role": "admin"})[1]["secret"]
    assert ana.call("DELETE", f"/organisations/{organisation}/members/{eve.id}")[0] == 204
    assert friend.call("POST", f"/invitations/{secret}/accept")[0] == 410
    assert eve.call("POST", f"/invitations/{secret}/accept")[0] == 410


def test_a_lowered_plan_is_not_escaped_with_a_new_organisation(server):
    ana = Person(server, "ana", "--plan", "free")
    organisation = team(ana, [])
    token = token_for(ana, organisation)
    assert ana.call("POST", "/sessions", {"hostPublicKey": "k"}, token=token)[0] == 201
    assert ana.call("POST", "/sessions", {"hostPublicKey": "k"})[1]["code"] == "share_limit_reached"


def test_a_deleted_organisation_ends_its_sessions_and_its_codes(server, ana):
    organisation = team(ana, [])
    token = token_for(ana, organisation)

    async def body():
        ana.api.token = token
        room = Room(server, ana.api)
        host = await room.host()
        assert ana.call("DELETE", f"/organisations/{organisation}")[0] == 202
        assert (await host.event("sessionEnded"))["reason"] == "deleted"
        assert server.call("GET", f"/codes/{room.codes['read']}/validate")[1] == {"valid": False, "error": "Session has ended"}
    run_peers(body)


def test_codes_cannot_be_guessed_in_parallel(server, ana):
    ana.sign_in()
    seed = ana.call("POST", "/auth/second-factor")[1]["secret"]
    assert ana.call("POST", "/auth/second-factor/confirm", {"code": code(seed)})[0] == 200
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        guess = lambda n: ana.call("POST", "/auth/second-factor/off", {"code": f"{n:06d}"})[0]
        statuses = list(pool.map(guess, range(8)))
    assert statuses.count(403) <= 5 and statuses.count(429) >= 3


def test_an_organisation_that_requires_it_keeps_others_out(server, ana):
    ben = Person(server, "ben")
    ana.sign_in()
    organisation = team(ana, [(ben, "member")])
    # Not before the one who asks has one: he would lock himself out.
    assert ana.call("PATCH", f"/organisations/{organisation}", {"requiresSecondFactor": True})[1]["code"] == "second_factor_required"
    seed = ana.call("POST", "/auth/second-factor")[1]["secret"]
    ana.call("POST", "/auth/second-factor/confirm", {"code": code(seed, -1)})
    assert ana.sign_in(code=code(seed))[0] == 200
    assert ana.call("PATCH", f"/organisations/{organisation}", {"requiresSecondFactor": True})[0] == 200
    assert ana.call("GET", f"/organisations/{organisation}/members")[0] == 200
    assert ben.call("GET", f"/organisations/{organisation}/members")[1]["code"] == "second_factor_required"


# Pages


def test_forms_of_other_sites_and_without_their_token_change_nothing(server, ana):
    browser = Browser(server)
    browser.sign_in(ana)
    token = browser.token("/account")
    fields = {"old": PASSWORD, "new": "another random text"}
    assert browser.request("POST", "/account/password", fields).status == 403
    assert browser.request("POST", "/account/password", {**fields, "form": "0" * 64}).status == 403
    for name, value in [("Origin", "https://evil.test"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "null")]:
        assert browser.request("POST", "/account/password", {**fields, "form": token}, {name: value}).status == 403
    # Another person's token, too.
    other = Browser(server)
    other.sign_in(Person(server, "ben"))
    assert browser.request("POST", "/account/password", {**fields, "form": other.token("/account")}).status == 403
    # Signing somebody in against his will.
    assert Browser(server).request("POST", "/sign-in", {"username": "ana", "password": PASSWORD}).status == 403
    assert ana.sign_in()[0] == 200
    origin = {"Origin": f"http://{server.address}"}
    assert browser.request("POST", "/account/password", {**fields, "form": token}, origin).status == 303


@pytest.mark.parametrize("next, goes", [
    ("/organisation", "/organisation"), ("//evil.test", "/home"), ("https://evil.test/", "/home"),
    ("/\\evil.test", "/home"), ("", "/home"), ("/a b", "/home")])
def test_signing_in_leads_nowhere_else(server, ana, next, goes):
    assert Browser(server).post("/sign-in", username="ana", password=PASSWORD, next=next).location == goes


@pytest.mark.parametrize("mark", ["", "\u0600", "\u0301"])
def test_names_are_text_and_never_html(server, ana, mark):
    """Also where a mark makes one character of itself and what must be escaped."""
    ana.sign_in()
    name = "".join(f"{mark if mark == chr(0x600) else ''}{c}{mark if mark == chr(0x301) else ''}" if c in "<>&\"'" else c
                   for c in "<script>alert(1)</script>&\"'")
    organisation = team(ana, [], name)
    browser = Browser(server)
    browser.sign_in(ana)
    browser.post("/organisation/switch", "/account", id=organisation)
    for path in ("/organisation", "/organisation/members", "/organisation/audit", "/organisation/plan"):
        answer = browser.get(path)
        assert answer.status == 200 and "<script>" not in answer.text and "<b>" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "&lt;" in browser.get("/organisation").text
    browser.cookies["__Host-postern-notice"] = urllib.parse.quote(mark + "<meta http-equiv=refresh>")
    assert "<meta http-equiv=refresh>" not in browser.get("/account").text


def test_a_notice_is_shown_once_and_no_link_can_bring_one(server, ana):
    browser = Browser(server)
    browser.sign_in(ana)
    done = browser.post("/organisation/create", "/organisation", name="Workshop; a=b")
    assert done.status == 303 and "?" not in done.location
    assert "you are its owner" in browser.get(done.location).text
    assert "you are its owner" not in browser.get(done.location).text
    assert "locked" not in browser.get("/organisation?notice=Your+account+is+locked").text


def test_a_team_is_made_invited_and_left_with_pages_alone(server, ana):
    owner, guest = Browser(server), Browser(server)
    owner.sign_in(ana)
    assert owner.post("/organisation/create", "/organisation", name="Workshop").status == 303
    answer = owner.post("/organisation/invitations", "/organisation/members", role="member")
    path = "/invitation/" + re.search(r"/invitation/(\w{43})", answer.text).group(1)
    shown = guest.get(path)
    assert "Workshop" in shown.text and f"/register?invitation={path[12:]}" in shown.text
    answer = guest.post("/register", f"/register?invitation={path[12:]}", username="ben", password=PASSWORD,
                        invitation=path[12:])
    assert answer.location == "/organisation"
    assert guest.post("/organisation/switch", "/account", id=re.search(
        r'action="/organisation/switch" class="inline">.*?name="id" value="([^"]+)"', guest.get("/organisation").text).group(1)).status == 303
    assert "Workshop" in guest.get("/organisation").text
    assert guest.get(path).status == 410
    assert "ben" in owner.get("/organisation/members").text
    assert owner.post("/organisation/leave", "/organisation").status == 409
    assert guest.post("/organisation/leave", "/organisation").status == 303
    assert "ben" not in re.sub(r"(?s).*<caption>Members", "", owner.get("/organisation/members").text).split("</table>")[0]
    assert owner.post("/organisation/delete", "/organisation", confirm="wrong").status == 400
    assert owner.post("/organisation/delete", "/organisation", confirm="Workshop").status == 303
    assert "/organisation/restore" in owner.get("/organisation").text


def test_all_members_of_a_large_team_are_on_its_pages(server, ana):
    organisation = team(ana, [], "crowd")
    names = [f"member{number:04}" for number in range(600)]
    # Each of them signing up would take minutes: a password is meant to cost something.
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.executemany(
            "INSERT INTO users (id, username, is_admin, created_at) VALUES (?, ?, 0, 0)", [(name, name) for name in names])
        database.executemany(
            "INSERT INTO memberships (organisation_id, user_id, role, created_at) VALUES (?, ?, 'member', 0)",
            [(organisation, name) for name in names])
    browser = Browser(server)
    browser.sign_in(ana)
    browser.post("/organisation/switch", "/account", id=organisation)
    first = browser.get("/organisation/members").text
    (path,) = re.findall(r'<a class="button" href="([^"]+)">More</a>', first)
    second = browser.get(path).text
    assert "More</a>" not in second
    shown = re.findall(r'<th scope="row">(member\d{4}) <', first + second)
    assert shown == names


def test_strangers_get_an_account_only_where_the_owner_says_so(make_server):
    for word, expected in [("open", 201), ("invited", 403), ("closed", 403)]:
        server = make_server("--registration", word, name=word)
        status, made = server.call("POST", "/auth/register", {"username": "eve", "password": PASSWORD})
        assert status == expected, made
    open_server = make_server("--registration", "open", name="again")
    statuses = [open_server.call("POST", "/auth/register", {"username": f"e{n}", "password": PASSWORD})[0] for n in range(4)]
    assert statuses == [201, 201, 201, 429]


# Plans on the wire, and the ledger


def test_a_timed_session_warns_its_people_and_ends_with_the_plans_name(make_server):
    server = make_server("--plan-limits", "free.sessionTimeoutMinutes=0")
    assert run(server, "config", "check").returncode == 0
    ana = server.user("ana", "--plan", "free")

    async def body():
        # No time at all: the session is over as soon as it begins.
        status, session = ana.call("POST", "/sessions", {"hostPublicKey": "k"})
        assert status == 201
        wait_for(lambda: ana.call("GET", "/sessions")[1] == [], "the end")
    run_peers(body)

    server = make_server("--plan-limits", "free.sessionTimeoutMinutes=2", name="two")
    ana, ben = server.user("ana", "--plan", "free"), server.user("ben")

    async def warned():
        room = Room(server, ana)
        host, guest = await room.host(), await room.guest(ben)
        for peer in (host, guest):
            warning = await peer.event("warning")
            assert warning["code"] == "session_time_left" and 110 < warning["secondsLeft"] <= 120
            assert "free plan" in warning["message"]
    run_peers(warned)


def test_refusals_carry_every_field_and_plans_change_at_once(server):
    person = Person(server, "ana", "--plan", "free")
    assert person.call("POST", "/sessions", {"hostPublicKey": "k"})[0] == 201
    status, answer = person.call("POST", "/sessions", {"hostPublicKey": "k"})
    del answer["requestId"]
    assert (status, answer) == (403, {
        "statusCode": 403, "code": "share_limit_reached", "limit": 1, "current": 1, "plan": "free",
        "message": "Share limit reached (1). Upgrade to Pro for more.", "upgradeUrl": "/organisation/plan"})
    assert run(server, "user", "set-plan", "ana", "pro").returncode == 0
    # The token that is out still says free; the next one says pro.
    assert person.call("POST", "/sessions", {"hostPublicKey": "k"})[1]["plan"] == "free"
    person.sign_in()
    assert person.call("POST", "/sessions", {"hostPublicKey": "k"})[0] == 201


def test_the_ledger_is_exact_across_a_kill(server):
    ana, ben = server.user("ana"), server.user("ben")
    ids = []

    async def body():
        room = Room(server, ana)
        host, guest = await room.host(), await room.guest(ben)
        ids.append(room.id)
        server.restart(9)
        assert (await room.host()).ack["success"]
    run_peers(body)
    server.restart(9)
    assert ana.call("DELETE", f"/sessions/{ids[0]}")[0] == 204
    with sqlite3.connect(f"file:{server.state}/postern.db?mode=ro", uri=True) as database:
        sums = dict(database.execute(
            "SELECT unit, CASE WHEN unit = 'peak_peers' THEN MAX(amount) ELSE SUM(amount) END FROM usage_entries GROUP BY unit"))
        (lasted,) = database.execute("SELECT ended_at - started_at FROM share_sessions").fetchone()
        seats = database.execute("SELECT left_at - joined_at FROM connections").fetchall()
    minutes = lambda time: -(-time // 60000)
    assert sums["session_minutes"] == minutes(lasted)
    assert sums["guest_minutes"] == sum(minutes(seat) for (seat,) in seats)
    assert sums["peak_peers"] == 2


@pytest.mark.parametrize("where", ["state", "runtime"])
def test_every_byte_is_in_the_ledger_once_however_often_the_server_is_killed(make_server, tmp_path, where):
    # As systemd names it: in memory, and kept from one start to the next.
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    server = make_server(environment={"RUNTIME_DIRECTORY": str(runtime)} if where == "runtime" else {})
    ana, ben = server.user("ana"), server.user("ben")
    got = []

    async def body():
        room = Room(server, ana)
        for _ in range(5):
            host, guest = await room.host(), await room.guest(ben)
            await host.event("guestJoined")
            await host.socket.send(Frame.write(3, 0, b"snapshot", slot=guest.ack["slot"]))
            await guest.frame(3)
            for sequence in range(1, 201):
                await host.socket.send(Frame.write(1, sequence, b"x" * (7 * sequence)))
            for sequence in range(1, 201):
                assert (await guest.frame(1))["sequence"] == sequence
            sizes = [16 + len(b"snapshot"), *(16 + 7 * sequence for sequence in range(1, 201))]
            # RFC 6455, section 5.2: two bytes of header, and two more above 125.
            got.append(sum(size + (2 if size < 126 else 4) for size in sizes))
            # As clients that speak JSON do it.
            await host.send("relay", encryptedData="A" * 100, nonce="B" * 16)
            event = await guest.event("relayData")
            got.append(len(json.dumps(event, separators=(",", ":"))) + 4)
            server.restart(9)
        assert ana.call("DELETE", f"/sessions/{room.id}")[0] == 204
    run_peers(body)
    with sqlite3.connect(f"file:{server.state}/postern.db?mode=ro", uri=True) as database:
        (found,) = database.execute("SELECT SUM(amount) FROM usage_entries WHERE unit = 'bytes_relayed'").fetchone()
    assert found == sum(got)
    assert (runtime / "relayed.counters").exists() == (where == "runtime")


# Audit, export, keys


def test_the_audit_log_says_who_did_what_and_verifies(server, ana):
    ben = Person(server, "ben")
    organisation = team(ana, [(ben, "member")], "workshop")
    token = token_for(ben, organisation)
    assert server.call("GET", f"/organisations/{organisation}/audit", token=token)[1]["code"] == "not_allowed"
    assert ana.call("DELETE", f"/organisations/{organisation}/members/{ben.id}")[0] == 204
    events = ana.call("GET", f"/organisations/{organisation}/audit")[1]
    assert [event["action"] for event in events] == [
        "member.removed", "refused", "member.joined", "member.invited", "organisation.created"]
    assert (events[0]["actor"], events[0]["target"], events[0]["address"]) == ("ana", "ben", "127.0.0.1")
    assert events[0]["credential"].startswith("sign-in ") and events[1]["actor"] == "ben" and events[1]["result"] == "refused"
    assert ana.call("GET", f"/organisations/{organisation}/audit?action=member&actor=ana")[1][0]["number"] == 5
    done = run(server, "audit", "verify")
    assert done.returncode == 0 and "all intact" in done.stdout, done.stdout
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.execute("DROP TRIGGER audit_events_are_not_changed")
        database.execute("UPDATE audit_events SET target = 'nobody' WHERE action = 'member.removed'")
    done = run(server, "audit", "verify")
    assert done.returncode == 1 and "event 5 was changed" in done.stdout and "1 of" in done.stderr


def test_an_export_holds_everything_of_one_organisation_and_nothing_of_another(server, ana):
    ben = Person(server, "ben")
    organisation, other = team(ana, [(ben, "support")], "workshop"), team(ben, [], "elsewhere")
    ana.api.token = token_for(ana, organisation)
    assert ana.call("POST", f"/organisations/{organisation}/roles", {"name": "idle", "permissions": []})[0] == 201
    assert ana.call("POST", f"/organisations/{organisation}/invitations", {"role": "member"})[0] == 201
    assert ana.api.call("POST", "/tokens", {"name": "ci"})[0] == 201

    async def body():
        room = Room(server, ana.api)
        host, guest = await room.host(), await room.guest(ben.api)
        assert ana.api.call("DELETE", f"/sessions/{room.id}")[0] == 204
        return room.id, guest.ack["peerId"]
    session, peer = asyncio.run(body())
    browser = Browser(server)
    browser.sign_in(ana)
    browser.post("/organisation/switch", "/account", id=organisation)
    answer = browser.get("/organisation/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert {line["kind"] for line in lines} == {
        "organisation", "role", "member", "invitation", "token", "session", "code", "guest", "usage", "audit_event"}
    (token,) = [line["value"] for line in lines if line["kind"] == "token"]
    assert token["userId"] == ana.id and "token" not in token["token"]
    assert "workshop" in answer.headers["content-disposition"] and "elsewhere" not in answer.text
    assert [line["value"]["id"] for line in lines if line["kind"] == "session"] == [session]
    (guest,) = [line["value"] for line in lines if line["kind"] == "guest"]
    assert (guest["id"], guest["sessionId"], guest["userId"]) == (peer, session, ben.id) and guest["leftAt"]
    codes = [line["value"] for line in lines if line["kind"] == "code"]
    assert sorted(one["permission"] for one in codes) == ["control", "read"] and "code" not in codes[0]


def test_rotating_keys_while_serving_signs_nobody_out(server, ana):
    ana.sign_in()
    seed = ana.call("POST", "/auth/second-factor")[1]["secret"]
    done = run(server, "keys", "rotate-master")
    assert done.returncode == 0 and "2 data keys" in done.stdout, done.stderr
    assert run(server, "keys", "rotate-signing").returncode == 0
    # The seed was sealed before, and opens in the server that runs.
    assert ana.call("POST", "/auth/second-factor/confirm", {"code": code(seed)})[0] == 200
    assert ana.call("GET", "/auth/me")[0] == 200
    server.restart()
    assert ana.call("GET", "/auth/me")[0] == 200


def test_a_script_makes_the_first_administrator_with_a_password_file(make_server, tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    server = make_server(environment={"POSTERN_ADMIN_PASSWORD_FILE": str(file), "POSTERN_ADMIN_NAME": "root"})
    status, made = server.call("POST", "/auth/sign-in", {"username": "root", "password": PASSWORD})
    assert status == 200 and server.call("GET", "/admin/organisations", token=made["accessToken"])[0] == 200
    server.restart()
    listed = run(server, "user", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["username"] for line in listed] == ["root"]


def test_administrators_set_plans_by_api_and_page(server, ana):
    root = Person(server, "root", "--admin")
    assert root.call("PUT", f"/organisations/{ana.id}/plan", {"plan": "team"})[1]["plan"] == "team"
    assert root.call("PUT", f"/organisations/{ana.id}/plan", {"plan": "gold"})[0] == 400
    assert ana.call("PUT", f"/organisations/{ana.id}/plan", {"plan": "admin"})[0] == 403
    browser = Browser(server)
    browser.sign_in(root)
    assert browser.post("/administration/plan", "/administration", id=ana.id, plan="pro").status == 303
    assert ana.call("GET", f"/organisations/{ana.id}/plan")[1]["plan"] == "pro"


def test_administrators_see_what_an_organisation_uses(server, ana):
    root, ben = Person(server, "root", "--admin"), Person(server, "ben")

    async def body():
        room = Room(server, ana.api)
        host, guest = await room.host(), await room.guest(ben.api)
        status, found = root.call("GET", f"/admin/organisations/{ana.id}")
        assert status == 200 and (found["openSessions"], found["guests"], found["members"]) == (1, 1, 1)
        assert found["organisation"]["name"] == "ana" and found["limits"]["maxShares"] == -1
        assert [one["amount"] for one in found["usage"] if one["unit"] == "peak_peers"] == [2]
        browser = Browser(server)
        browser.sign_in(root)
        page = browser.get(f"/administration/organisation?id={ana.id}").text
        assert "Open share sessions" in page and "Peak participants" in page
    run_peers(body)
    assert ana.call("GET", f"/admin/organisations/{ana.id}")[0] == 403
    assert root.call("GET", "/admin/organisations/nothing")[0] == 404


def test_roles_are_made_changed_and_removed_on_a_page(server, ana):
    ben = Person(server, "ben")
    organisation = team(ana, [(ben, "member")], "workshop")
    browser = Browser(server)
    browser.sign_in(ana)
    browser.post("/organisation/switch", "/account", id=organisation)
    path = "/organisation/roles"
    assert browser.post(path, path, name="auditor <b>", permission="audit:read").status == 303
    assert "auditor &lt;b&gt;" in browser.get(path).text
    (made,) = [role for role in ana.call("GET", f"/organisations/{organisation}/roles")[1] if not role["isBuiltIn"]]
    assert made["permissions"] == ["audit:read"]
    assert browser.post(f"{path}/change", path, id=made["id"], permission="usage:read").status == 303
    (made,) = [role for role in ana.call("GET", f"/organisations/{organisation}/roles")[1] if not role["isBuiltIn"]]
    assert made["permissions"] == ["usage:read"]
    assert "is not a permission" in browser.post(path, path, name="x", permission="nonsense").text
    other = Browser(server)
    other.sign_in(ben)
    other.post("/organisation/switch", "/account", id=organisation)
    page = other.get(path).text
    assert "usage:read" in page and "A new role" not in page
    assert browser.post(f"{path}/remove", path, id=made["id"]).status == 303
    assert "auditor" not in browser.get(path).text.split("</table>")[0]


def test_share_sessions_are_seen_and_ended_on_a_page(server, ana):
    ben = Person(server, "ben")
    organisation = team(ana, [(ben, "member")], "workshop")
    tokens = {person: token_for(person, organisation) for person in (ana, ben)}
    ids = {}
    for person, name in ((ana, "hers <i>"), (ben, "his")):
        ids[person] = server.call("POST", "/sessions", {"hostPublicKey": "k", "sessionName": name}, tokens[person])[1]["id"]
    path = "/organisation/sessions"
    browsers = {}
    for person in (ana, ben):
        browsers[person] = Browser(server)
        browsers[person].sign_in(person)
        browsers[person].post("/organisation/switch", "/account", id=organisation)
    assert "hers &lt;i&gt;" in browsers[ana].get(path).text and "his" in browsers[ana].get(path).text
    assert "hers" not in browsers[ben].get(path).text
    # A member ends what is his own, an owner everybody's.
    assert browsers[ben].post(f"{path}/end", path, id=ids[ana]).location == path
    assert "not yours" in browsers[ben].get(path).text
    assert len(server.call("GET", "/sessions?all=yes", token=tokens[ana])[1]) == 2
    assert browsers[ana].post(f"{path}/end", path, id=ids[ben]).status == 303
    assert [one["id"] for one in server.call("GET", "/sessions?all=yes", token=tokens[ana])[1]] == [ids[ana]]


def test_people_sign_in_as_their_keyboards_write(make_server):
    """Capitals of phones, letters that another keyboard composes otherwise, full-width letters, and codes with spaces."""
    server = make_server("--registration", "open", "--public-calls-per-minute", "100000")

    def sign_in(name, password):
        return server.call("POST", "/auth/sign-in", {"username": name, "password": password, "client": "t"})
    composed, decomposed = "Gr\u00fc\u00dfe aus K\u00f6ln", "Gru\u0308\u00dfe aus Ko\u0308ln"
    assert server.call("POST", "/auth/register", {"username": "Mia", "password": composed})[0] == 201
    for name in ("Mia", "mia", " MIA ", "\uff2d\uff49\uff41"):
        assert sign_in(name, composed)[0] == 200, name
    assert sign_in("mia", decomposed)[0] == 200
    assert sign_in("mia", composed.replace(" ", "\u00a0"))[0] == 200
    assert sign_in("mia", composed.lower())[0] == 401
    status, refused = server.call("POST", "/auth/register", {"username": "mIa", "password": composed})
    assert status == 409 and refused["code"] == "name_taken"
    token = sign_in("mia", composed)[1]["accessToken"]
    seed = server.call("POST", "/auth/second-factor", token=token)[1]["secret"]
    shown = code(seed)
    assert server.call("POST", "/auth/second-factor/confirm", {"code": f"{shown[:3]} {shown[3:]}"}, token)[0] == 200
