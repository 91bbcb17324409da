"""No text that another wrote acts on a terminal, a log or a table; and none comes in as a name."""

import asyncio
import json
import re
import sqlite3
import subprocess
import threading

import pytest
from aiohttp import web

from conftest import PATIENCE, POSTERN, clean_environment
from people import Person

# What a terminal or a text renderer acts on: C0, DEL, C1, bidirectional controls, line and paragraph separators.
CONTROLS = [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F),
                                   *range(0x2066, 0x206A)]]
EVIL = "".join(CONTROLS[1:])  # Not NUL, which SQLite's text ends at.
ACTS = re.compile("[" + "".join(re.escape(c) for c in CONTROLS if c not in "\n\t") + "]")


def run(*arguments, **options):
    return subprocess.run([POSTERN, *arguments], capture_output=True, text=True, timeout=PATIENCE, **options)


def assert_plain(text, lines=None):
    found = ACTS.search(text)
    assert not found, f"{found.group()!r} in {text[max(0, found.start() - 40):found.end() + 40]!r}"
    if lines is not None:
        assert len(text.splitlines()) == lines, text


def signed_in(server):
    ana = Person(server, "ana")
    ana.sign_in()
    return ana


def make_organisation(server, owner):
    status, made = owner.call("POST", "/organisations", {"name": "workshop"})
    assert status == 201, made
    return made["id"]


# In


@pytest.mark.parametrize("field", ["token", "role", "organisation", "session", "incident"])
def test_no_name_with_such_a_character_comes_in(server, field):
    ana = signed_in(server)
    organisation = make_organisation(server, ana)
    for control in [*CONTROLS, "\r\n"]:
        name = f"a{control}b"
        if field == "token":
            status = ana.call("POST", "/tokens", {"name": name})[0]
        elif field == "role":
            status = ana.call("POST", f"/organisations/{organisation}/roles", {"name": name, "permissions": []})[0]
        elif field == "organisation":
            status = ana.call("POST", "/organisations", {"name": name})[0]
        elif field == "session":
            status = ana.call("POST", "/sessions", {"hostPublicKey": "k", "sessionName": name})[0]
        else:
            if control == "\0":
                continue  # No argument can hold it.
            status = 400 if run("incident", "post", name, "--state", server.state).returncode else 201
        assert status == 400, (field, control)
    assert ana.call("POST", "/organisations", {"name": "Ünal & 日本 👩‍👩‍👧"})[0] == 201


def test_a_clients_name_for_itself_is_kept_without_them(make_server):
    server = make_server("--registration", "open")
    status, answer = server.call("POST", "/auth/register", {"username": "carla", "password": "correct horse battery"})
    assert status == 201, answer
    status, answer = server.call(
        "POST", "/auth/sign-in", {"username": "carla", "password": "correct horse battery", "client": f"x{EVIL}y"})
    assert status == 200, answer
    listed = server.call("GET", "/auth/sign-ins", token=answer["accessToken"])
    assert_plain(json.dumps(listed[1], ensure_ascii=False))


@pytest.mark.parametrize("name", ["--help", "-h", ".", "..", "-", "_x", ".hidden"])
def test_a_username_is_no_option_and_no_path(make_server, name):
    server = make_server("--registration", "open")
    assert server.call("POST", "/auth/register", {"username": name, "password": "correct horse battery"})[0] == 400
    assert run("user", "add", "--state", server.state, "--", name).returncode != 0


def test_a_username_is_nobody_elses_in_another_case(make_server):
    server = make_server("--registration", "open")
    server.user("admin")
    for name in ["Admin", "ADMIN", "admin"]:
        status, answer = server.call("POST", "/auth/register", {"username": name, "password": "correct horse battery"})
        assert (status, answer["code"]) == (409, "name_taken")
        assert run("user", "add", name, "--state", server.state).returncode == 1


# Out: what an older version let in


def test_lists_of_the_owner_show_them_as_escapes(server):
    ana = signed_in(server)
    organisation = make_organisation(server, ana)
    ana.call("POST", f"/organisations/{organisation}/roles", {"name": "role", "permissions": []})
    assert run("incident", "post", "down", "--state", server.state).returncode == 0
    assert run("token", "create", "ana", "--name", "laptop", "--state", server.state).returncode == 0
    server.stop()
    evil = f"x{EVIL}y"
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.execute("UPDATE api_tokens SET name = ?", [evil])
        database.execute("UPDATE organisations SET name = ? WHERE id = ?", [evil, organisation])
        database.execute("UPDATE incidents SET text = ?", [evil])
        # A log that somebody wrote into, whose triggers are gone, is listed as well as any other.
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {trigger}")
        database.execute("UPDATE audit_events SET actor_name = ?, target = ?, detail = ?, address = ?, action = ?", [evil] * 5)
    database.close()
    for command in [["token", "list", "ana"], ["organisation", "list"], ["incident", "list"], ["audit", "list"],
                    ["audit", "list", "--organisation", "ana"], ["user", "list"]]:
        # A line break of somebody's makes no row: there are as many rows as objects.
        lines = len(run(*command, "--json", "--state", server.state).stdout.splitlines())
        for json_lines in ([], ["--json"]):
            found = run(*command, *json_lines, "--state", server.state)
            assert found.returncode == 0 and found.stdout, (command, found.stderr)
            assert_plain(found.stdout, lines)
            for line in found.stdout.splitlines() if json_lines else []:
                json.loads(line)
            if not json_lines:
                # A tab of somebody's makes no column.
                assert len({line.count("\t") for line in found.stdout.splitlines()}) == 1, command
    found = run("audit", "verify", "--state", server.state)
    assert_plain(found.stdout + found.stderr)


# Out: what a server says to its clients


class Liar:
    """A server that answers everything with such characters."""

    def __init__(self, relay):
        self.relay, self.ready = relay, threading.Event()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.run, daemon=True).start()
        assert self.ready.wait(PATIENCE)

    def run(self):
        asyncio.set_event_loop(self.loop)
        application = web.Application()
        application.router.add_get("/relay", self.socket)
        application.router.add_route("*", "/{path:.*}", self.rest)
        runner = web.AppRunner(application)

        async def start():
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = "http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1]
            self.ready.set()
        self.loop.run_until_complete(start())
        self.loop.run_forever()

    async def rest(self, request):
        if request.path == "/sessions" and self.relay == "guest":
            return web.json_response({"id": "s", "hostUserId": "u", "hostPublicKey": "k", "sessionName": None,
                                      "startedAt": "2026-01-01T00:00:00.000Z", "endedAt": None}, status=201)
        if request.path.endswith("/codes") and self.relay == "guest":
            code = "SYCLX-" + ("AAAAAA" if (await request.json())["permission"] == "control" else "BBBBBB")
            return web.json_response({"code": code, "sessionId": "s", "permission": "control", "maxUses": None,
                                      "currentUses": 0, "expiresAt": None, "revoked": False,
                                      "createdAt": "2026-01-01T00:00:00.000Z"}, status=201)
        return web.json_response({"statusCode": 409, "code": "x", "message": f"error {EVIL}end"}, status=409)

    async def socket(self, request):
        socket = web.WebSocketResponse(protocols=["postern.v1"])
        await socket.prepare(request)
        message = json.loads((await socket.receive()).data)
        short = "\x1b]0;PWNED\x07\x1b[2J\r\nFAKE: type your password\u009b31m\u202e\u2028"
        if self.relay == "ack":
            await socket.send_json({"type": "ack", "id": message["id"], "success": False, "error": f"no {EVIL}end"})
        elif self.relay.startswith("close"):
            await socket.close(code=int(self.relay[5:]), message=short.encode()[:120])
        elif self.relay == "ended":
            await socket.send_json({"type": "ack", "id": message["id"], "success": True, "sessionId": "s", "peerId": "p",
                                    "permission": "control", "slot": 1, "resumeToken": "s.x"})
            await socket.send_json({"type": "sessionEnded", "reason": f"over {EVIL}end", "message": EVIL})
        elif self.relay == "guest":
            await socket.send_json({"type": "ack", "id": message["id"], "success": True, "peerId": "h", "resumeToken": "s.h"})
            await socket.send_json({"type": "guestJoined", "peerId": "p", "slot": 1, "userId": "u",
                                    "username": f"ben {EVIL}end", "guestPublicKey": "k", "permission": "control"})
            # A guest that says hello and proves with nonsense: the host's person is told of it by name.
            import base64
            import os
            hello = bytes([1, 2, 0]) + os.urandom(16) + b"SYCLX-AAAAAA"
            await socket.send_json({"type": "keyExchange", "fromPeerId": "p", "payload": base64.b64encode(hello).decode()})
            proof = bytes([3]) + os.urandom(64)
            await socket.send_json({"type": "keyExchange", "fromPeerId": "p", "payload": base64.b64encode(proof).decode()})
            await asyncio.sleep(0.5)
            await socket.send_json({"type": "sessionEnded", "reason": f"over {EVIL}end"})
        async for _ in socket:
            pass
        return socket


@pytest.mark.parametrize("relay", ["ack", "close1000", "close1008", "close4400", "close4403", "ended"])
def test_what_a_relay_says_to_a_guest_is_shown_and_not_carried_out(relay):
    liar = Liar(relay)
    found = run("join", "SYCLX-7K2Q9M-cactus-violin", env={
        **clean_environment(), "POSTERN_URL": liar.url, "POSTERN_TOKEN": "t"}, stdin=subprocess.DEVNULL)
    # Whatever it was, it is not the host's signed end.
    assert found.returncode != 0 and found.stderr.startswith("postern: "), found.stderr
    assert_plain(found.stdout + found.stderr)
    assert "\nFAKE" not in found.stderr


@pytest.mark.parametrize("arguments", [["share", "--", "true"], ["share", "--json", "--", "true"], ["login", "URL"]])
def test_what_a_server_says_to_a_host_is_shown_and_not_carried_out(arguments, tmp_path):
    liar = Liar("rest")
    environment = {**clean_environment(), "POSTERN_URL": liar.url, "POSTERN_TOKEN": "t", "XDG_CONFIG_HOME": str(tmp_path)}
    arguments = [liar.url if one == "URL" else one for one in arguments]
    found = run(*arguments, env=environment, input="t\n")
    assert found.returncode != 0
    assert_plain(found.stdout + found.stderr)


@pytest.mark.parametrize("json_lines", [[], ["--json"]])
def test_what_a_relay_calls_a_guest_is_shown_and_not_carried_out(json_lines):
    liar = Liar("guest")
    found = run("share", *json_lines, "--", "sleep", "1", env={
        **clean_environment(), "POSTERN_URL": liar.url, "POSTERN_TOKEN": "t"}, stdin=subprocess.DEVNULL)
    text = found.stdout + found.stderr
    assert "wrong" in text and "ben" in text, text
    assert_plain(text.replace("\r\n", "\n"))


def test_pages_show_them_as_escapes(make_server):
    server = make_server()
    assert run("incident", "post", "down", "--state", server.state).returncode == 0
    with sqlite3.connect(f"{server.state}/postern.db") as database:
        database.execute("UPDATE incidents SET text = ?", [f"x{EVIL}<b>y"])
    database.close()
    import urllib.request
    page = urllib.request.urlopen(server.url + "/").read().decode()
    assert "<b>y" not in page and "\\u{1B}" in page
    assert_plain(page)
