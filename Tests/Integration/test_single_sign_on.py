"""An organisation's own OpenID Connect issuer: required of members, of visitors of private tunnels, and never more than that."""

import re
import urllib.parse

import pytest

from people import Browser, Person, team, token_for
from providers import Mock
from test_access import PAGE, code, edge  # noqa: F401
from tunnels import get, services, tunnels  # noqa: F401

CALLBACK = "/auth/organisation/callback"


@pytest.fixture
def provider():
    mock = Mock()
    yield mock
    mock.close()


@pytest.fixture
def company(make_server):
    """A team with a member; issuers may be on this machine."""
    server = make_server("--organisation-issuers", "any", "--public-calls-per-minute", "100000")
    ana, ben = Person(server, "ana"), Person(server, "ben")
    return server, ana, ben, team(ana, [(ben, "member")])


def browser(server, person, organisation):
    own = Browser(server)
    own.sign_in(person)
    assert own.post("/organisation/switch", "/organisation", id=organisation).status == 303
    return own


def path(url):
    parts = urllib.parse.urlsplit(url)
    return f"{parts.path}?{parts.query}"


def sign_on(own, provider, subject, begin="/organisation/sign-on?next=/organisation/members"):
    """A person's way through the provider; returns the answer to the callback."""
    page = own.get(begin)
    assert page.status == 200 and provider.issuer in page.text, page.text
    answer = own.get(re.search(r'href="(/organisation/sign-on/begin[^"]*)"', page.text).group(1).replace("&amp;", "&"))
    assert answer.status == 302 and answer.location.startswith(provider.issuer), answer.text
    return own.get(path(provider.authorize(answer.location, subject)))


def require(own, provider, **fields):
    return own.post("/organisation/single-sign-on", issuer=provider.issuer, clientId="postern", **fields)


def test_from_the_owners_page_to_members_who_need_it(company, provider):
    server, ana, ben, organisation = company
    owner = browser(server, ana, organisation)
    assert require(owner, provider, clientSecret="secret").status == 303
    # Not before the owner has gone through it.
    answer = require(owner, provider, required="yes")
    assert answer.status == 403 and "lock everybody out" in answer.text
    answer = sign_on(owner, provider, "ana@corp")
    assert answer.status == 303 and answer.location == "/organisation/members"
    assert require(owner, provider, required="yes").status == 303
    assert owner.get("/organisation/members").status == 200
    # A member is led there from any page, and back; the API says what to do.
    member = browser(server, ben, organisation)
    answer = member.get("/organisation/members")
    assert answer.status == 303 and answer.location == "/organisation/sign-on?next=/organisation/members"
    status, refused = ben.call("POST", f"/organisations/{organisation}/switch")
    assert status == 403 and refused["code"] == "sign_on_required" and "sign on" in refused["message"]
    assert sign_on(member, provider, "ben@corp").location == "/organisation/members"
    assert member.get("/organisation/members").status == 200
    # Another browser of the same person has its own proof to give; the personal organisation asks for none.
    other = browser(server, ben, organisation)
    assert other.get("/organisation/members").status == 303
    assert ben.call("GET", "/tunnels")[0] == 200
    # The first identity is kept.
    answer = sign_on(other, provider, "somebody@corp")
    assert answer.status == 403 and "not the person" in answer.text
    answer = sign_on(other, provider, "ana@corp")
    assert answer.status == 403
    status, _ = ana.call("DELETE", f"/organisations/{organisation}/sign-on/members/{ben.id}")
    assert status == 204
    assert member.get("/organisation/members").status == 303
    assert sign_on(other, provider, "ben@new").status == 303
    assert owner.post("/organisation/single-sign-on/remove", "/organisation/single-sign-on").status == 303
    assert browser(server, ben, organisation).get("/organisation/members").status == 200


def test_a_provider_that_is_down_lets_nobody_in_and_the_owner_corrects_it(company, provider):
    server, ana, ben, organisation = company
    owner = browser(server, ana, organisation)
    require(owner, provider, clientSecret="secret")
    sign_on(owner, provider, "ana")
    assert require(owner, provider, required="yes").status == 303
    provider.close()
    server.restart()
    member = browser(server, ben, organisation)
    page = member.get("/organisation/sign-on")
    answer = member.get(re.search(r'href="(/organisation/sign-on/begin[^"]*)"', page.text).group(1).replace("&amp;", "&"))
    assert answer.status == 502 and "cannot be reached" in answer.text
    assert member.get("/organisation/members").status == 303
    # A new sign-in of the owner, without a proof: the settings are there, and nothing else.
    fresh = browser(server, ana, organisation)
    assert fresh.get("/organisation/members").status == 303
    assert fresh.post("/organisation/single-sign-on/remove", "/organisation/single-sign-on").status == 303
    assert member.get("/organisation/members").status == 200


def test_an_answer_belongs_to_the_browser_that_asked(company, provider):
    server, ana, ben, organisation = company
    owner = browser(server, ana, organisation)
    require(owner, provider, clientSecret="secret")
    member = browser(server, ben, organisation)
    page = member.get("/organisation/sign-on")
    begin = re.search(r'href="(/organisation/sign-on/begin[^"]*)"', page.text).group(1).replace("&amp;", "&")
    back = path(provider.authorize(member.get(begin).location, "ben"))
    # In another browser, signed in as somebody else or as the same person; and without the state.
    for own in (owner, browser(server, ben, organisation)):
        answer = own.get(back)
        assert answer.status == 400 and "started elsewhere" in answer.text
    assert member.get(back.replace("state=", "state=x")).status == 400
    assert member.get(back).status == 303
    # It signs nobody in: a browser that is not signed in is asked for the account first.
    answer = Browser(server).get(back)
    assert answer.status == 303 and answer.location.startswith("/sign-in")


def test_who_may_set_it_and_what_is_refused(company, provider, make_server):
    server, ana, ben, organisation = company
    change = {"issuer": provider.issuer, "clientId": "postern", "clientSecret": "secret"}
    at = f"/organisations/{organisation}/sign-on"
    assert server.call("PUT", at, change, token_for(ben, organisation))[0] == 403
    assert Person(server, "eve").call("PUT", at, change)[0] == 404
    token = token_for(ana, organisation)
    for wrong in ({"issuer": "http://id.example.org"}, {"issuer": "ftp://x"}, {"clientId": ""}, {"clientSecret": None}):
        status, refused = server.call("PUT", at, {**change, **wrong}, token)
        assert status == (409 if wrong == {"clientSecret": None} else 400), (wrong, refused)
    status, refused = server.call("PUT", at, {**change, "required": True}, token)
    assert status == 403 and refused["code"] == "sign_on_required"
    status, made = server.call("PUT", at, change, token)
    assert status == 200 and made["issuer"] == provider.issuer and "secret" not in str(made)
    assert ana.call("PUT", f"/organisations/{ana.id}/sign-on", change)[0] == 409
    # By default, issuers in the server's own networks are not asked.
    public = make_server("--public-calls-per-minute", "100000", name="public")
    cy = Person(public, "cy")
    place = team(cy, [], name="cys")
    own = browser(public, cy, place)
    assert require(own, provider, clientSecret="secret").status == 303
    page = own.get("/organisation/sign-on")
    answer = own.get(re.search(r'href="(/organisation/sign-on/begin[^"]*)"', page.text).group(1).replace("&amp;", "&"))
    assert answer.status == 502 and "not public" in answer.text, answer.text
    off = make_server("--organisation-issuers", "off", name="off")
    dan = Person(off, "dan")
    place = team(dan, [], name="dans")
    assert off.call("PUT", f"/organisations/{place}/sign-on", change, token_for(dan, place))[0] == 409


def test_visitors_of_private_tunnels_sign_on(edge, tunnels, services, provider):  # noqa: F811
    edge.stop()
    edge.options += ["--organisation-issuers", "any"]
    edge.start()
    ana, ben = Person(edge, "ana"), Person(edge, "ben")
    organisation = team(ana, [(ben, "member")])
    status, made = edge.call("POST", "/tokens", {"name": "box"}, token_for(ana, organisation))
    assert status == 201, made
    ana.api.token = made["token"]
    tunnel = tunnels(ana.api, "http", str(services().port), "--private").online()
    owner = browser(edge, ana, organisation)
    require(owner, provider, clientSecret="secret")
    sign_on(owner, provider, "ana")
    assert require(owner, provider, tunnels="yes").status == 303
    # Members have their pages without it, and the tunnel only with it.
    member = browser(edge, ben, organisation)
    assert member.get("/organisation/members").status == 200
    _, headers, _ = get(edge, tunnel.host, headers=PAGE)
    pending = headers["Set-Cookie"].split(";")[0]
    answer = member.get(headers["Location"].removeprefix(f"https://box.test:{edge.port}"))
    assert answer.status == 303 and answer.location.startswith(f"/organisation/sign-on?organisation={organisation}&next=")
    back = sign_on(member, provider, "ben", answer.location).location
    assert back.startswith("/authorize?host=")
    address = re.search(r"url=(.+)", member.get(back).headers["refresh"]).group(1)
    status, headers, _ = get(edge, tunnel.host, address.split(str(edge.port), 1)[1], headers={**PAGE, "Cookie": pending})
    assert status == 303
    session = headers.get_all("Set-Cookie")[0].split(";")[0]
    assert get(edge, tunnel.host, headers={"Cookie": session})[0] == 200
    # Its reset ends that.
    status, _ = edge.call("DELETE", f"/organisations/{organisation}/sign-on/members/{ben.id}", token=token_for(ana, organisation))
    assert status == 204 and code(get(edge, tunnel.host, headers={"Cookie": session})) == "SIGN-IN"
