"""Mail, by a real mail server in this process (aiosmtpd), with STARTTLS and a password as the internet has them."""

import asyncio
import email
import email.policy
import re
import ssl
import subprocess
import threading

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from conftest import PATIENCE, POSTERN, clean_environment, make_pair, wait_for
from people import PASSWORD, Browser, Person


class Box:
    """Takes every mail."""

    def __init__(self, directory, *, starttls=True, password="mail secret"):
        self.mails, self.attempts = [], []
        authority = make_pair(directory, "localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
        self.authority = authority
        self.refuse = None
        box = self

        class Handler:
            async def handle_RCPT(self, server, session, envelope, address, options):
                if box.refuse:
                    return box.refuse
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, server, session, envelope):
                box.mails.append((session.ssl is not None, envelope.mail_from, envelope.rcpt_tos,
                                  email.message_from_bytes(envelope.content, policy=email.policy.default)))
                return "250 taken"

        def authenticate(server, session, envelope, mechanism, data):
            box.attempts.append((data.login, data.password))
            return AuthResult(handled=False, success=(data.login, data.password) == (b"postern", password.encode()))

        options = dict(tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True) \
            if starttls else {}
        self.make = lambda: SMTP(Handler(), loop=self.loop, hostname="box.test", **options)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.on_loop(self.loop.create_server(self.make, "127.0.0.1", 0))
        self.port = self.server.sockets[0].getsockname()[1]

    def on_loop(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def stop_listening(self):
        self.loop.call_soon_threadsafe(self.server.close)
        self.on_loop(self.server.wait_closed())

    def link(self, word, count=1):
        wait_for(lambda: len(self.mails) >= count, "the mail")
        return re.search(rf"https://box\.test(/{word}/\w{{43}})", self.mails[-1][3].get_content()).group(1)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)


@pytest.fixture
def box(tmp_path):
    directory = tmp_path / "mail"
    directory.mkdir()
    box = Box(directory)
    yield box
    box.close()


def serve(make_server, box, *more, secret="mail secret", **keywords):
    return make_server(
        "--smtp-host", "localhost", "--smtp-port", str(box.port), "--smtp-user", "postern", "--smtp-from",
        "postern@box.test", "--provider-ca-file", box.authority, "--public-url", "https://box.test", *more,
        environment={"POSTERN_SMTP_PASSWORD": secret} if secret else {}, **keywords)


def test_an_address_is_proved_and_then_a_lost_password_set_anew(make_server, box):
    server = serve(make_server, box)
    ana = Person(server, "ana")
    assert ana.call("POST", "/auth/email", {"email": "Ana@box.test"})[0] == 403
    assert ana.call("POST", "/auth/email", {"email": "Ana@box.test", "password": PASSWORD})[0] == 202
    path = box.link("verify")
    over_tls, sender, receivers, mail = box.mails[0]
    assert over_tls and sender == "postern@box.test" and receivers == ["ana@box.test"]
    assert box.attempts == [(b"postern", b"mail secret")]
    assert mail["Subject"] == "Verify your e-mail address" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime and mail["Message-ID"] and ana.call("GET", "/auth/me")[1]["email"] is None
    # Looking at the link, as mail programs do, proves nothing; nor does anybody but the account itself.
    browser = Browser(server)
    assert browser.get(path).location.startswith("/sign-in?next=/verify/")
    browser.sign_in(Person(server, "ben"))
    assert browser.post(path, "/account").status == 410
    browser = Browser(server)
    browser.sign_in(ana)
    assert "ana@box.test" in browser.get(path).text and ana.call("GET", "/auth/me")[1]["email"] is None
    assert browser.post(path).status == 303
    assert ana.call("GET", "/auth/me")[1]["email"] == "ana@box.test"
    # By address, too.
    assert server.call("POST", "/auth/sign-in", {"username": "ana@box.test", "password": PASSWORD})[0] == 200
    # The answer is the same for an address that nobody has.
    for address in ("nobody@box.test", "ana@box.test"):
        assert server.call("POST", "/auth/password-reset", {"email": address}) == (202, None)
    path = box.link("reset", 2)
    Browser(server).post(path, password="quite another text")
    assert ana.call("GET", "/auth/me")[0] == 401
    assert server.call("POST", "/auth/sign-in", {"username": "ana", "password": "quite another text"})[0] == 200
    wait_for(lambda: len(box.mails) == 3, "the warning")
    assert "was reset with a link" in box.mails[2][3].get_content()
    assert {receiver for mail in box.mails for receiver in mail[2]} == {"ana@box.test"}


def test_administrators_hear_of_what_looks_like_an_attack(make_server, box):
    server = serve(make_server, box, "--public-calls-per-minute", "100000")
    root, ana = Person(server, "root", "--admin"), Person(server, "ana")
    for person in (root, ana):
        assert person.call("POST", "/auth/email", {"email": f"{person.name}@box.test", "password": PASSWORD})[0] == 202
    wait_for(lambda: len(box.mails) >= 2, "both mails")
    for person in (root, ana):
        (mine,) = [mail for mail in box.mails if mail[2] == [f"{person.name}@box.test"]]
        browser = Browser(server)
        browser.sign_in(person)
        assert browser.post(re.search(r"https://box\.test(/verify/\w{43})", mine[3].get_content()).group(1)).status == 303
    for number in range(8):
        status = server.call("POST", "/auth/sign-in", {"username": "ana", "password": f"wrong{number}"})[0]
        assert status == (401 if number < 5 else 429)
    wait_for(lambda: len(box.mails) == 3, "the alert")
    _, _, receivers, mail = box.mails[2]
    assert receivers == ["root@box.test"] and mail["Subject"] == "Postern: an alert"
    assert "Too many sign-ins to the account ana" in mail.get_content()
    (event,) = root.call("GET", "/admin/audit?action=alert")[1]
    assert event["action"] == "alert.raised" and "the account ana" in event["target"]
    # Once for the block, and not for each attempt; and an attack on many accounts does not fill the mailbox.
    for number in range(40):
        for _ in range(6):
            server.call("POST", "/auth/sign-in", {"username": f"nobody{number}", "password": "wrong"})
    wait_for(lambda: len(root.call("GET", "/admin/audit?action=alert")[1]) >= 2, "another alert")
    alerts = [mail for mail in box.mails if mail[3]["Subject"] == "Postern: an alert"]
    assert len(alerts) <= 7
    # What strangers cause without knowing anything keeps no alert about an account from the mailbox.
    for number in range(6):
        status = root.call("POST", "/auth/email", {"email": "x@box.test", "password": f"wrong{number}"})[0]
        assert status == (403 if number < 5 else 429)
    wait_for(lambda: any("the account root" in mail[3].get_content() for mail in box.mails), "the alert about root")


def prove(box, person, address):
    """The person follows the link in a mail to the address; the box is empty again."""
    assert person.call("POST", "/auth/email", {"email": address, "password": PASSWORD})[0] == 202
    assert person.call("POST", "/auth/verify-email", {"secret": box.link("verify")[8:]})[0] == 204
    box.mails.clear()


def test_whoever_invites_has_proved_an_address(make_server, box):
    server = serve(make_server, box)
    root, ana = Person(server, "root", "--admin"), Person(server, "ana")
    made = ana.call("POST", "/organisations", {"name": "Workshop"})[1]
    status, refusal = ana.call("POST", f"/organisations/{made['id']}/invitations", {"role": "member"})
    assert status == 403 and refusal["code"] == "email_unproved" and "in your account" in refusal["message"]
    prove(box, ana, "ana@box.test")
    assert ana.call("POST", f"/organisations/{made['id']}/invitations", {"role": "member"})[0] == 201
    # Whoever runs the server answers for it, with or without an address.
    own = root.call("POST", "/organisations", {"name": "Root's"})[1]
    assert root.call("POST", f"/organisations/{own['id']}/invitations", {"role": "member"})[0] == 201


def test_an_unusual_tunnel_is_reported_to_its_owner(make_server, box):
    """A week of 100 requests an hour with 1 % of errors, and then an hour in which half of them fail."""
    import sqlite3
    import time
    server = serve(make_server, box, "--tunnel-domain", "t.test", tls=True)
    ana = Person(server, "ana")
    prove(box, ana, "ana@box.test")
    status, tunnel = ana.call("POST", "/tunnels", {"kind": "http", "name": "demo"})
    assert status == 201, tunnel
    server.stop()
    hour = int(time.time() // 3600)
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.executemany("INSERT INTO tunnel_hours (organisation_id, tunnel_id, hour, requests, errors) VALUES (?, ?, ?, ?, ?)",
                             [(ana.id, tunnel["id"], hour - ago, 100, 50 if ago == 1 else 1) for ago in range(1, 170)])
    server.start()
    wait_for(lambda: box.mails, "the mail")
    mail = box.mails[-1][3]
    assert "demo" in mail["Subject"] and "50 % of its 100 requests in an hour failed" in mail.get_content()
    assert "https://box.test/organisation/tunnels" in mail.get_content()
    # Once, and it is in the audit log.
    server.restart()
    done = subprocess.run([POSTERN, "audit", "list", "--organisation", "ana", "--action", "tunnel.unusual", "--state", server.state],
                          capture_output=True, text=True)
    assert done.stdout.count("tunnel.unusual") == 1 and len(box.mails) == 1, done


def test_owners_hear_of_a_certificate_that_is_not_renewed(make_server, box, tmp_path):
    """A twentieth of the lifetime is left, and the authority does not respond: one mail, the log, the status page."""
    import sqlite3
    import time
    from pathlib import Path
    server = serve(make_server, box, "--tunnel-domain", "t.test", "--acme-agree", "yes", "--acme-directory", "https://127.0.0.1:1/", tls=True)
    ana = Person(server, "ana")
    prove(box, ana, "ana@box.test")
    status, tunnel = ana.call("POST", "/tunnels", {"kind": "http", "name": "demo"})
    assert status == 201, tunnel
    server.stop()
    now = int(time.time() * 1000)
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.execute(
            "INSERT INTO domains (id, organisation_id, user_id, name, proof, created_at, verified_at, checked_at, tunnel_id)"
            " VALUES ('d', ?, ?, 'app.example.test', 'p', ?, ?, ?, ?)", (ana.id, ana.id, now, now, now, tunnel["id"]))
    pair = tmp_path / "pair"
    pair.mkdir()
    make_pair(pair, "app.example.test", days=100, since=95)
    directory = Path(server.state) / "domains/app.example.test"
    directory.mkdir(parents=True)
    (directory / "certificate.pem").write_text((pair / "cert.pem").read_text() + (pair / "key.pem").read_text())
    server.start()
    wait_for(lambda: box.mails, lambda: server.log.read_text()[-2000:])
    mail = box.mails[-1][3]
    assert mail["Subject"] == "The certificate of app.example.test ends soon" and "was not renewed" in mail.get_content()
    wait_for(lambda: "certificate of a domain expires soon" in server.log.read_text(), lambda: server.log.read_text()[-2000:])
    wait_for(lambda: any(one["name"] == "domains" and "1 of 1 certificates" in one["text"]
                         for one in server.call("GET", "/ready")[1]["components"]), lambda: server.call("GET", "/ready"))
    server.restart()
    assert server.call("GET", "/health")[0] == 200 and len(box.mails) == 1


def test_an_invitation_goes_to_its_address_and_is_for_nobody_else(make_server, box):
    server = serve(make_server, box)
    ana, ben = Person(server, "ana"), Person(server, "ben")
    prove(box, ana, "ana@box.test")
    status, made = ana.call("POST", "/organisations", {"name": "Wörkshop\r\nBcc: eve@box.test"})
    assert status == 400
    status, made = ana.call("POST", "/organisations", {"name": "Wörkshop"})
    assert ana.call("POST", f"/organisations/{made['id']}/invitations", {"role": "member", "email": "ben@box.test"})[0] == 201
    path = box.link("invitation")
    assert box.mails[0][3]["Subject"] == "You are invited to Wörkshop" and box.mails[0][2] == ["ben@box.test"]
    assert ben.call("POST", f"/invitations/{path[12:]}/accept")[1]["code"] == "not_allowed"
    assert ben.call("POST", "/auth/email", {"email": "ben@box.test", "password": PASSWORD})[0] == 202
    browser = Browser(server)
    browser.sign_in(ben)
    browser.post(box.link("verify", 2))
    assert ben.call("POST", f"/invitations/{path[12:]}/accept")[0] == 200


def test_somebody_new_comes_by_an_invitation_to_his_address(make_server, box):
    server = serve(make_server, box)
    ana = Person(server, "ana")
    prove(box, ana, "ana@box.test")
    made = ana.call("POST", "/organisations", {"name": "Workshop"})[1]
    ana.call("POST", f"/organisations/{made['id']}/invitations", {"role": "member", "email": "eve@box.test"})
    path = box.link("invitation")
    browser = Browser(server)
    # The account is made; it joins when the address is proved, because whoever invited has seen the link, too.
    answer = browser.post("/register", f"/register?invitation={path[12:]}", username="eve", password=PASSWORD,
                          email="eve@box.test", invitation=path[12:])
    assert answer.location == "/organisation"
    assert browser.post(path).status == 403
    assert browser.post(box.link("verify", 2)).status == 303
    assert browser.post(path).status == 303
    assert "Workshop" in browser.get("/organisation").text
    statuses = [ana.call("POST", f"/organisations/{made['id']}/invitations", {"role": "member", "email": "eve@box.test"})[0]
                for _ in range(3)]
    assert statuses == [201, 201, 429]


def test_an_intruders_change_of_address_ends_with_his_sign_in(make_server, box):
    server = serve(make_server, box)
    ana = Person(server, "ana")
    assert ana.call("POST", "/auth/email", {"email": "thief@box.test", "password": PASSWORD})[0] == 202
    path = box.link("verify")
    assert ana.call("POST", "/auth/password", {"oldPassword": PASSWORD, "newPassword": "quite another text"})[0] == 204
    assert ana.call("POST", "/auth/verify-email", {"secret": path[8:]})[0] == 410


def test_more_resets_than_a_person_needs_are_silent_for_the_account_and_refused_by_address(make_server, box):
    server = serve(make_server, box)
    statuses = [server.call("POST", "/auth/password-reset", {"email": f"n{n}@box.test"})[0] for n in range(4)]
    assert statuses == [202, 202, 202, 429] and box.mails == []


@pytest.mark.parametrize("trouble, says", [
    ("wrong password", "535"), ("unknown authority", "certificate"), ("refused", "550 no such box"), ("gone", "refused")])
def test_a_mail_that_is_not_taken_is_the_owners_to_see(make_server, box, trouble, says):
    server = serve(make_server, box, *(["--provider-ca-file", "/etc/ssl/certs/ca-certificates.crt"]
                                       if trouble == "unknown authority" else []),
                   secret="wrong" if trouble == "wrong password" else "mail secret")
    if trouble == "refused":
        box.refuse = "550 no such box"
    if trouble == "gone":
        box.stop_listening()
    ana = Person(server, "ana")
    assert ana.call("POST", "/auth/email", {"email": "ana@box.test", "password": PASSWORD})[0] == 202
    line = wait_for(lambda: [one for one in server.log.read_text().splitlines() if "mail not sent" in one], "the line")
    assert says in line[0], line


def test_a_server_without_starttls_gets_no_password_and_no_mail(make_server, tmp_path):
    (tmp_path / "plain").mkdir()
    box = Box(tmp_path / "plain", starttls=False)
    try:
        server = serve(make_server, box)
        ana = Person(server, "ana")
        ana.call("POST", "/auth/email", {"email": "ana@box.test", "password": PASSWORD})
        wait_for(lambda: "does not offer STARTTLS" in server.log.read_text(), "the line")
        assert box.mails == [] and box.attempts == []
    finally:
        box.close()


def test_the_password_may_stand_sealed_in_the_database(make_server, box):
    server = make_server()
    done = subprocess.run([POSTERN, "secret", "set", "smtp-password", "--state", server.state], input="mail secret\n",
                          capture_output=True, text=True, env=clean_environment())
    assert done.returncode == 0, done.stderr
    server.stop()
    with open(server.state + "/postern.db", "rb") as file:
        assert b"mail secret" not in file.read()
    server = serve(make_server, box, secret=None)
    ana = Person(server, "ana")
    ana.call("POST", "/auth/email", {"email": "ana@box.test", "password": PASSWORD})
    box.link("verify")
    listed = subprocess.run([POSTERN, "secret", "list", "--state", server.state], capture_output=True, text=True,
                            env=clean_environment())
    assert listed.stdout.startswith("smtp-password\t") and "mail secret" not in listed.stdout


def test_without_mail_nothing_asks_for_addresses(server):
    ana = Person(server, "ana")
    assert ana.call("POST", "/auth/email", {"email": "ana@box.test"})[1]["code"] == "mail_off"
    assert server.call("POST", "/auth/password-reset", {"email": "ana@box.test"})[0] == 202
    browser = Browser(server)
    assert "/forgotten" not in browser.get("/sign-in").text
    assert "does not send mail" in browser.get("/forgotten").text
