"""Walks every route of the written matrix (docs/permissions.md) as everybody, and compares."""

import json
import re

import pytest

from conftest import ROOT
from people import Browser, Person, team, token_for

ROLES = ["owner", "admin", "support", "member"]
# What they change cannot be done twice in one organisation.
SPENDING = {"DELETE /organisations/:organisation", "POST /organisations/:organisation/leave", "POST /organisation/leave",
            "POST /auth/sign-out", "POST /sign-out", "DELETE /auth/sign-ins", "POST /account/sign-ins/end-others"}


def matrix():
    text = (ROOT / "docs/permissions.md").read_text()
    granted = {}
    for key, marks in re.findall(r"^\| `([a-z_:]+)` \| [^|]*\|(.*)\|$", text, re.M):
        granted[key] = {role for role, mark in zip(ROLES, marks.split("|")) if mark.strip() == "yes"}
    api, pages = text.split("## Who may see which page")
    rows = lambda part: re.findall(r"^\| (GET|POST|PUT|PATCH|DELETE) \| `([^`]+)` \| (\S+) \|$", part, re.M)
    return granted, rows(api), rows(pages)


GRANTED, API, PAGES = matrix()


def test_the_matrix_is_about_every_described_route(world):
    described = world.server.call("GET", "/openapi.json")[1]["paths"]
    wanted = {f"{method.upper()} {path}" for path, item in described.items() for method in item}
    found = {method + " " + re.sub(r":([a-zA-Z]+)", r"{\1}", path) for method, path, _ in API}
    assert found == wanted


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from conftest import Server
    server = Server(tmp_path_factory.mktemp("matrix") / "state", "--public-calls-per-minute", "100000").start()
    yield World(server)
    server.stop()


class World:
    def __init__(self, server):
        self.server = server
        self.people = {role: Person(server, role) for role in ROLES}
        self.people["stranger"] = Person(server, "stranger")
        self.people["administrator"] = Person(server, "administrator", "--admin")
        self.other = team(self.people["stranger"], [], "other")
        self.renew()

    def renew(self):
        """A new team, and sign-ins that nobody has ended."""
        for person in self.people.values():
            assert person.sign_in()[0] == 200
        self.organisation = team(
            self.people["owner"], [(self.people[role], role) for role in ROLES[1:]], "team")
        self.tokens = {role: token_for(self.people[role], self.organisation) for role in ROLES}
        self.tokens["stranger"] = token_for(self.people["stranger"], self.other)
        self.tokens["administrator"] = self.people["administrator"].access
        self.tokens["nobody"] = None


def expected(access, who, names_organisation):
    """What the matrix says: 'in', 'sign in', 'not allowed' or 'not there'."""
    if access == "anyone":
        return "in"
    if who == "nobody":
        return "sign in"
    if access in ("account", "credential"):
        return "not there" if names_organisation and who in ("stranger", "administrator") else "in"
    if access == "administrator":
        return "in" if who == "administrator" else "not allowed"
    if who in ("stranger", "administrator"):
        # In the credential's own organisation they are owners.
        return "not there" if names_organisation else "in"
    return "in" if who in GRANTED[access] else "not allowed"


def outcome(status, body):
    # A route that fails for everybody lets nobody in.
    if status >= 500:
        return f"broken: {status}"
    code = (body or {}).get("code") if isinstance(body, dict) else None
    if status == 401 and code == "unauthorized":
        return "sign in"
    if status == 403 and code == "not_allowed":
        return "not allowed"
    if status == 404 and body["message"] == "There is no such organisation.":
        return "not there"
    return "in"


@pytest.mark.parametrize("who", [*ROLES, "stranger", "administrator", "nobody"])
def test_every_route_of_the_api_lets_in_whom_the_matrix_says(world, who):
    wrong = []
    for method, path, access in API:
        # These take a credential of their own, and are everybody's.
        if access == "anyone":
            continue
        concrete = path.replace(":organisation", world.organisation)
        concrete = re.sub(r":(id|user|secret|code)", "0190aaaa-0000-7000-8000-000000000000", concrete)
        body = None if method in ("GET", "DELETE") else {}
        status, answer = call(world, method, concrete, body, world.tokens[who])
        found = outcome(status, answer)
        if found != expected(access, who, ":organisation" in path):
            wrong.append((method, path, access, status, answer))
        if f"{method} {path}" in SPENDING and status < 300:
            world.renew()
    assert wrong == []


def call(world, method, path, body, token):
    try:
        return world.server.call(method, path, body, token)
    except json.JSONDecodeError:
        # Not JSON: an archive, and so an answer.
        return 200, None


@pytest.mark.parametrize("who", [*ROLES, "administrator", "nobody"])
def test_every_page_lets_in_whom_the_matrix_says(world, who):
    if who not in ("administrator", "nobody"):
        world.renew()
    browser = enter(world, who)
    wrong = []
    for method, path, access in PAGES:
        if access == "anyone":
            continue
        concrete = re.sub(r":(secret)", "nothing", path)
        token = browser.token("/account") if who != "nobody" else "0"
        answer = browser.request(method, concrete, {"form": token} if method == "POST" else None)
        wanted = expected(access, who, False)
        found = ("sign in" if answer.status == 303 and answer.location.startswith("/sign-in?next=")
                 else "not allowed" if answer.status == 403 and ("does not have" in answer.text or "Only administrators" in answer.text)
                 else "in")
        if found != wanted:
            wrong.append((method, path, access, answer.status))
        if f"{method} {path}" in SPENDING and answer.status == 303 and who != "nobody":
            world.renew()
            browser = enter(world, who)
    assert wrong == []


def enter(world, who):
    browser = Browser(world.server)
    if who == "nobody":
        return browser
    assert browser.sign_in(world.people[who]).status == 303
    if who != "administrator":
        assert browser.post("/organisation/switch", "/account", id=world.organisation).status == 303
    return browser


def test_a_token_with_scopes_does_what_they_say_and_nothing_else(world):
    """One token for each permission, and every route of the API with each."""
    world.renew()
    owner, wrong = world.people["owner"], []
    for key in GRANTED:
        if key == "appliance:manage":
            continue
        made = owner.call("POST", "/tokens", {"name": key, "scopes": [key]}, token=world.tokens["owner"])[1]
        for method, path, access in API:
            # These would leave nothing to go on with.
            if access == "anyone" or f"{method} {path}" in SPENDING:
                continue
            concrete = re.sub(r":(id|user|secret|code)", "0190aaaa-0000-7000-8000-000000000000",
                              path.replace(":organisation", world.organisation))
            status, answer = call(world, method, concrete, None if method in ("GET", "DELETE") else {}, made["token"])
            allowed = access in (key, "credential")
            if outcome(status, answer) != ("in" if allowed else "not allowed") and path not in ("/sessions", "/tunnels", "/machines") \
                    and not any(f"/{kind}/" in path for kind in ("sessions", "tunnels", "machines")):
                wrong.append((key, method, path, access, status, answer))
        status, answer = owner.server.call("GET", "/sessions", token=made["token"])
        assert status == (200 if key == "session:create" else 403), (key, answer)
        status, answer = owner.server.call("GET", "/tunnels", token=made["token"])
        assert status == (200 if key == "tunnel:create" else 403), (key, answer)
        # With one of the three a tunnel that does not exist is not found; without, nothing is said of it.
        status, answer = owner.server.call("GET", "/tunnels/nobody", token=made["token"])
        assert status == (404 if key.startswith("tunnel:") else 403), (key, answer)
        status, answer = owner.server.call("GET", "/machines", token=made["token"])
        assert status == (200 if key == "machine:enroll" else 403), (key, answer)
        status, answer = owner.server.call("GET", "/machines/nobody", token=made["token"])
        assert status == (404 if key.startswith("machine:") else 403), (key, answer)
        status, answer = owner.server.call("POST", "/machines/invitations", {}, token=made["token"])
        # A machine makes tunnels: who may not cannot hand that on.
        assert status == 403 and ("tunnel:create" in answer["message"]) == (key == "machine:enroll"), (key, answer)
    both = owner.call("POST", "/tokens", {"name": "both", "scopes": ["machine:enroll", "tunnel:create"]}, token=world.tokens["owner"])[1]
    assert owner.server.call("POST", "/machines/invitations", {}, token=both["token"])[0] == 201
    assert wrong == []


def test_nobody_sees_or_changes_another_organisations_things(world):
    """Every kind of thing that one team has, asked for by the owner of another in the own organisation's name."""
    owner, stranger = world.people["owner"], world.people["stranger"]
    world.renew()
    team_token, other_token = world.tokens["owner"], world.tokens["stranger"]
    status, role = owner.call("POST", f"/organisations/{world.organisation}/roles",
                              {"name": "auditor", "permissions": ["audit:read"]})
    assert status == 201
    status, invitation = owner.call("POST", f"/organisations/{world.organisation}/invitations", {"role": "member"})
    status, session = owner.call("POST", "/sessions", {"hostPublicKey": "k"}, token=team_token)
    assert status == 201
    status, code = owner.call("POST", f"/sessions/{session['id']}/codes", {"permission": "read"}, token=team_token)
    assert status == 201
    mine = f"/organisations/{world.other}"
    for method, path, body, wanted in [
            ("PATCH", f"{mine}/roles/{role['id']}", {"permissions": []}, 404),
            ("DELETE", f"{mine}/roles/{role['id']}", None, 404),
            ("DELETE", f"{mine}/invitations/{invitation['id']}", None, 404),
            ("PATCH", f"{mine}/members/{owner.id}", {"role": "member"}, 404),
            ("DELETE", f"{mine}/members/{owner.id}", None, 404),
            ("POST", f"{mine}/transfer", {"userId": owner.id}, 404),
            ("POST", f"{mine}/invitations", {"role": role["id"]}, 404),
            ("GET", f"/sessions/{session['id']}/codes", None, 404),
            ("POST", f"/sessions/{session['id']}/codes", {"permission": "read"}, 404),
            # These change nothing and say so little.
            ("DELETE", f"/sessions/{session['id']}", None, 204),
            ("DELETE", f"/codes/{code['code']}", None, 404)]:
        status, answer = stranger.call(method, path, body, token=other_token)
        assert status == wanted, (method, path, answer)
    assert stranger.call("GET", "/sessions?all=yes", token=other_token)[1] == []
    # Everything is as it was.
    status, sessions = owner.call("GET", "/sessions", token=team_token)
    assert [one["id"] for one in sessions] == [session["id"]]
    assert [one["code"] for one in sessions[0]["codes"]] == [code["code"]]
    assert owner.call("DELETE", f"/sessions/{session['id']}", token=team_token)[0] == 204
    assert "auditor" in [one["name"] for one in owner.call("GET", f"/organisations/{world.organisation}/roles")[1]]
