"""Signing in with somebody else's word: the existing clients' way with GitHub, any OpenID provider, and hostile ones."""

import base64
import hmac
import json
import time
import urllib.parse

import pytest
from joserfc import jwt

from conftest import wait_for
from people import Browser, Person
from providers import Liar, Mock, path, state_of


@pytest.fixture
def liar():
    liar = Liar()
    yield liar
    liar.close()


@pytest.fixture
def mock():
    mock = Mock()
    yield mock
    mock.close()


def with_oidc(make_server, issuer, *more):
    return make_server(
        "--oidc-issuer", issuer, "--oidc-client-id", "client", "--registration", "open", "--public-calls-per-minute",
        "100000", *more, environment={"POSTERN_OIDC_CLIENT_SECRET": "secret"})


def with_github(make_server, liar, *more):
    return make_server(
        "--github-client-id", "client", "--github-url", liar.issuer, "--github-api-url", liar.issuer, "--registration",
        "open", "--public-calls-per-minute", "100000", *more, environment={"POSTERN_GITHUB_CLIENT_SECRET": "secret"})


def test_a_browser_signs_in_with_a_real_openid_provider(make_server, mock):
    server = with_oidc(make_server, mock.issuer, "--oidc-title", "Workshop")
    browser = Browser(server)
    assert "/auth/oidc?to=browser" in browser.get("/sign-in").text and "Workshop" in browser.get("/sign-in").text
    there = browser.get("/auth/oidc?to=browser&next=/organisation")
    assert there.status == 302 and there.location.startswith(mock.issuer)
    back = mock.authorize(there.location, "pia")
    answer = browser.get(path(back))
    assert (answer.status, answer.location) == (303, "/organisation"), answer.text
    assert browser.get("/organisation").status == 200
    # The same person is the same account; another is another.
    names = []
    for subject in ("pia", "pia", "max"):
        other = Browser(server)
        other.get(path(mock.authorize(other.get("/auth/oidc?to=browser").location, subject)))
        names.append(other.get("/account").text.split("<strong>")[1].split("<")[0])
    assert names[0] == names[1] != names[2]


def test_the_desktop_client_gets_its_token_and_its_own_state_back(make_server, liar):
    server = with_github(make_server, liar)
    for state in ("abc", "a b/c?d=e&f#%", None):
        browser = Browser(server)
        query = f"?state={urllib.parse.quote(state, safe='')}" if state else ""
        there = browser.get("/auth/github" + query)
        assert there.status == 302 and there.location.startswith(liar.issuer + "/login/oauth/authorize?")
        assert state is None or urllib.parse.quote(state, safe="") not in there.location
        answer = browser.get(path(liar.authorize(there.location)))
        assert answer.status == 302 and answer.location.startswith("claudelander://auth?token="), answer.text
        fields = dict(urllib.parse.parse_qsl(answer.location.split("?", 1)[1], keep_blank_values=True))
        assert fields.get("state") == state and set(fields) == {"token", "state"} - ({"state"} if state is None else set())
        assert server.call("GET", "/auth/me", token=fields["token"])[1]["username"] == "octo"
        claims = json.loads(base64.urlsafe_b64decode(fields["token"].split(".")[1] + "=="))
        assert abs(claims["exp"] - time.time() - 7 * 86400) < 60 and 10 <= len(fields["token"]) <= 2048
    # A week's token is revoked like any other.
    assert server.call("POST", "/auth/sign-out", token=fields["token"])[0] == 204
    assert server.call("GET", "/auth/me", token=fields["token"])[0] == 401


def test_a_state_that_is_no_text_is_not_echoed_at_all(make_server, liar):
    server = with_github(make_server, liar)
    for state in ("x" * 513, "a%0Ab", "%C3%A4"):
        browser = Browser(server)
        answer = browser.get(path(liar.authorize(browser.get(f"/auth/github?state={state}").location)))
        assert answer.status == 302 and "state" not in answer.location


def test_only_allowed_programs_get_tokens(make_server, liar):
    server = with_github(make_server, liar, "--frontend-urls", "claudelander://,https://app.box.test/")
    assert Browser(server).get("/auth/github?redirect=https://evil.test/").status == 400
    assert Browser(server).get("/auth/github?redirect=https://app.box.test").status == 400
    browser = Browser(server)
    there = browser.get("/auth/github?redirect=https://app.box.test/")
    assert browser.get(path(liar.authorize(there.location))).location.startswith("https://app.box.test/auth?token=")


def test_a_callback_is_for_the_browser_that_began_and_works_once(make_server, liar):
    server = with_github(make_server, liar)
    browser, thief = Browser(server), Browser(server)
    back = path(liar.authorize(browser.get("/auth/github").location))
    assert thief.get(back).status == 400
    thief.get("/auth/github")
    assert thief.get(back).status == 400
    kept = dict(browser.cookies)
    assert browser.get(back.replace("state=", "state=x")).status == 400
    assert browser.get(back).status == 302
    browser.cookies = kept
    assert browser.get(back).status == 400


def test_a_code_that_was_used_and_a_refusal_are_told_to_the_person(make_server, liar):
    server = with_github(make_server, liar)
    browser = Browser(server)
    back = path(liar.authorize(browser.get("/auth/github").location))
    liar.codes.clear()
    answer = browser.get(back)
    assert answer.status == 502 and "this code was used" in answer.text
    there = browser.get("/auth/github")
    answer = browser.get(f"/auth/github/callback?error=access_denied&state={state_of(there.location)}")
    assert answer.status == 502 and "access_denied" in answer.text


def enter(server, liar):
    browser = Browser(server)
    return browser.get(path(liar.authorize(browser.get("/auth/oidc?to=browser").location)))


@pytest.mark.parametrize("change, says", [
    ({"iss": "https://evil.test"}, "is from"), ({"aud": "somebody"}, "has an aud without the client ID"),
    ({"aud": ["client", "other"]}, "has the azp"), ({"azp": "other"}, "has the azp"),
    ({"nonce": "other"}, "has the wrong nonce"), ({"nonce": None}, "has the wrong nonce"),
    ({"exp": 1}, "has expired"), ({"nbf": 99999999999}, "not valid yet"), ({"sub": ""}, "has an empty sub"),
    ({"sub": None}, "invalid signature"), ({"exp": None}, "invalid signature")])
def test_an_id_token_that_cannot_be_true_lets_nobody_in(make_server, liar, change, says):
    server = with_oidc(make_server, liar.issuer)
    assert enter(server, liar).status == 303
    liar.change = change
    answer = enter(server, liar)
    assert answer.status == 502 and says in answer.text, answer.text
    liar.change = {}
    assert enter(server, liar).status == 303


def test_an_id_token_signed_by_nobody_or_with_what_everybody_has_is_refused(make_server, liar):
    server = with_oidc(make_server, liar.issuer)
    claims = {"iss": liar.issuer, "sub": "person", "aud": "client", "exp": int(time.time()) + 300}
    encode = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    public = liar.keys[0].as_pem(private=False)
    unsigned = f"{encode({'alg': 'HS256', 'kid': 'one'})}.{encode(claims)}"
    mac = base64.urlsafe_b64encode(hmac.new(public, unsigned.encode(), "sha256").digest()).decode().rstrip("=")
    other = Liar.key("one")
    for token, says in [
            (f"{encode({'alg': 'none'})}.{encode(claims)}.", "not signed with a key of the provider"),
            (f"{unsigned}.{mac}", "not signed with a key of the provider"),
            (jwt.encode({"alg": "RS256", "kid": "one"}, claims, other), "invalid signature"),
            ("nonsense", "not signed"), ("a.b.c", "not signed")]:
        liar.token = token
        answer = enter(server, liar)
        assert answer.status == 502 and says in answer.text, answer.text


def test_keys_that_rotate_are_found_and_old_ones_forgotten(make_server, liar):
    server = with_oidc(make_server, liar.issuer)
    assert enter(server, liar).status == 303
    fresh = Liar.key("two")
    liar.signing, old = fresh, liar.signing
    # Not published: nobody's.
    assert enter(server, liar).status == 502
    liar.keys = []
    # A provider that cannot be asked has not lied.
    wait_for(lambda: "503" in enter(server, liar).text, "the new key, which is looked for every 10 s at most")
    liar.keys = [fresh]
    wait_for(lambda: enter(server, liar).status == 303, "the new key")
    liar.signing = old
    assert enter(server, liar).status == 502


def test_a_provider_that_calls_itself_otherwise_is_not_believed(make_server, liar):
    server = with_oidc(make_server, liar.issuer)
    liar.discovery = {"issuer": "https://evil.test"}
    answer = server.call("GET", "/auth/oidc?to=browser")
    assert answer[0] == 502 and "issuer is" in answer[1]["message"]


def test_an_address_counts_only_when_the_provider_has_proved_it(make_server, liar):
    """Somebody registers at a provider with another's address, which must not open the other's account here."""
    server = with_oidc(make_server, liar.issuer)
    assert enter(server, liar).status == 303
    liar.change = {"sub": "eve", "email_verified": False, "preferred_username": "eve"}
    browser = Browser(server)
    browser.get(path(liar.authorize(browser.get("/auth/oidc?to=browser").location)))
    assert "<strong>eve</strong>" in browser.get("/account").text
    liar.change = {"sub": "second", "email_verified": True}
    browser = Browser(server)
    browser.get(path(liar.authorize(browser.get("/auth/oidc?to=browser").location)))
    assert "<strong>pia</strong>" in browser.get("/account").text


def test_a_second_factor_here_is_asked_after_a_provider_too(make_server, liar):
    from test_accounts import code
    server = with_github(make_server, liar)
    browser = Browser(server)
    answer = browser.get(path(liar.authorize(browser.get("/auth/github").location)))
    token = answer.location.split("token=")[1]
    seed = server.call("POST", "/auth/second-factor", token=token)[1]["secret"]
    assert server.call("POST", "/auth/second-factor/confirm", {"code": code(seed, -1)}, token)[0] == 200
    browser = Browser(server)
    answer = browser.get(path(liar.authorize(browser.get("/auth/github?state=mine").location)))
    assert answer.location == "/sign-in/code"
    answer = browser.post("/sign-in/code", code=code(seed))
    # A page that goes on by itself: behind a form, browsers follow a redirect to another program not at all.
    target = answer.headers["refresh"].removeprefix("0;url=")
    assert target.startswith("claudelander://auth?token=") and target.endswith("&state=mine")


def test_strangers_from_a_provider_get_no_account_where_the_owner_wants_none(make_server, liar):
    server = with_oidc(make_server, liar.issuer, "--registration", "invited")
    answer = enter(server, liar)
    assert answer.status == 403 and "Registration is closed" in answer.text


def test_what_is_not_set_up_says_so(server):
    status, answer = server.call("GET", "/auth/google")
    assert status == 404 and answer["code"] == "provider_off"


def test_what_the_id_token_lacks_is_asked_at_the_userinfo_endpoint(make_server, liar):
    """As many providers have it: nothing but `sub` in the token."""
    liar.discovery = {"userinfo_endpoint": liar.issuer + "/userinfo"}
    liar.change = {"email": None, "email_verified": None, "preferred_username": None}
    liar.userinfo = {"sub": "person", "email": "pia@box.test", "email_verified": True, "preferred_username": "pia"}
    server = with_oidc(make_server, liar.issuer)
    assert enter(server, liar).status == 303
    browser = Browser(server)
    browser.get(path(liar.authorize(browser.get("/auth/oidc?to=browser").location)))
    assert "<strong>pia</strong>" in browser.get("/account").text and "pia@box.test" in browser.get("/account").text
    # Somebody else's answer, or none, lets nobody in.
    liar.userinfo = {**liar.userinfo, "sub": "other"}
    answer = enter(server, liar)
    assert answer.status == 502 and "different sub" in answer.text
    liar.userinfo = None
    assert enter(server, liar).status == 502
    # A token that has everything is enough.
    liar.change, asked = {}, len([one for one in liar.asked if one == "/userinfo"])
    assert enter(server, liar).status == 303
    assert len([one for one in liar.asked if one == "/userinfo"]) == asked
    # An address from one place is not proved by the other.
    liar.change = {"sub": "eve", "email": "eve@box.test", "email_verified": False, "preferred_username": None}
    liar.userinfo = {"sub": "eve", "email": "pia@box.test", "email_verified": True, "preferred_username": "eve"}
    browser = Browser(server)
    browser.get(path(liar.authorize(browser.get("/auth/oidc?to=browser").location)))
    assert "<strong>eve</strong>" in browser.get("/account").text and "pia@box.test" not in browser.get("/account").text


def test_several_sign_ins_of_one_browser_each_end_where_they_began(make_server, liar):
    server = with_oidc(make_server, liar.issuer)
    browser = Browser(server)
    wanted = ["/account", "/organisation", "/account/tokens"]
    begun = [liar.authorize(browser.get(f"/auth/oidc?to=browser&next={place}").location) for place in wanted]
    assert [browser.get(path(back)).location for back in begun] == wanted
    # More than a browser keeps: the newest ones still end, and no request becomes too long.
    begun = [liar.authorize(browser.get("/auth/oidc?to=browser").location) for _ in range(20)]
    assert browser.get(path(begun[-1])).status == 303
