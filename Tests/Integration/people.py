"""People with passwords: over the API, and in a browser of a few lines."""

import http.client
import json
import re
import ssl
import subprocess
import urllib.parse

from conftest import PATIENCE, POSTERN, clean_environment

PASSWORD = "a few random words"


class Person:
    """Somebody who can sign in."""

    def __init__(self, server, name, *options):
        self.server, self.name = server, name
        self.api = server.user(name, *options)
        self.id = self.api.id
        done = subprocess.run(
            [POSTERN, "user", "reset", name, "--state", server.state, "--json"], check=True, capture_output=True,
            text=True, env=clean_environment())
        made = json.loads(done.stdout)
        secret = made["resetLink"].rsplit("/", 1)[1]
        assert server.call("POST", "/auth/password-reset/confirm", {"secret": secret, "password": PASSWORD}) == (204, None)
        # The reset has revoked all older ones; a first password leaves the new one.
        self.pst = self.api.token = made["token"]
        self.access = self.refresh = None

    def sign_in(self, **more):
        status, made = self.server.call(
            "POST", "/auth/sign-in", {"username": self.name, "password": PASSWORD, "client": "test", **more})
        if status == 200:
            self.access, self.refresh = made["accessToken"], made["refreshToken"]
        return status, made

    def call(self, method, path, body=None, token=None):
        if not (token or self.access):
            assert self.sign_in()[0] == 200
        return self.server.call(method, path, body, token or self.access)


class Browser:
    """Follows no redirects, runs no script, keeps cookies, and sends the forms that pages have."""

    def __init__(self, server):
        self.server = server
        self.cookies = {}

    def request(self, method, path, fields=None, headers=None):
        if self.server.tls:
            connection = http.client.HTTPSConnection(
                self.server.address, timeout=PATIENCE, context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection(self.server.address, timeout=PATIENCE)
        try:
            all_headers = {"Host": self.server.address, **(headers or {})}
            if self.cookies:
                all_headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            body = None
            if fields is not None:
                body = urllib.parse.urlencode(fields, doseq=True)
                all_headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, all_headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    assert key.startswith("__Host-") and "; Secure; HttpOnly; SameSite=Lax" in value and "Path=/;" in value
                    self.cookies[key] = rest.split(";")[0]
                    if "Max-Age=0" in value:
                        del self.cookies[key]
            return Answer(answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), text)
        finally:
            connection.close()

    def get(self, path):
        return self.request("GET", path)

    def token(self, path):
        return re.search(r'name="form" value="([0-9a-f]+)"', self.get(path).text).group(1)

    def post(self, path, page=None, token=None, **fields):
        """Sends a form with the token that a page of this browser has."""
        return self.request("POST", path, {"form": token or self.token(page or path), **fields})

    def sign_in(self, person):
        return self.post("/sign-in", username=person.name, password=PASSWORD)


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @property
    def location(self):
        return self.headers.get("location")


def team(owner, members, name="team"):
    """An organisation with its members by role; returns its id."""
    status, made = owner.call("POST", "/organisations", {"name": name})
    assert status == 201, made
    for person, role in members:
        status, invitation = owner.call("POST", f"/organisations/{made['id']}/invitations", {"role": role})
        assert status == 201, invitation
        assert person.call("POST", f"/invitations/{invitation['secret']}/accept")[0] == 200
    return made["id"]


def token_for(person, organisation):
    """An access token of a person for an organisation."""
    status, made = person.call("POST", f"/organisations/{organisation}/switch")
    assert status == 200, made
    return made["accessToken"]
