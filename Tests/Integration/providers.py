"""Providers of sign-ins: a real one from the registries, GitHub's as far as clients see it, and one that lies."""

import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from joserfc import jwk, jwt

from acme import free_ports
from conftest import PATIENCE, ROOT, wait_for


class Mock:
    """oidc-provider-mock: signs in whoever is named in its form."""

    def __init__(self, *options):
        (self.port,) = free_ports(1)
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [str(ROOT / ".venv/bin/oidc-provider-mock"), "-p", str(self.port), "-n", "true", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, "the provider")

    def answers(self):
        try:
            return urllib.request.urlopen(self.issuer + "/.well-known/openid-configuration", timeout=PATIENCE).status == 200
        except OSError:
            return False

    def authorize(self, url, subject):
        """Sends the provider's form as a person would; returns where the browser is sent."""
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_):
                return None
        body = urllib.parse.urlencode({"sub": subject}).encode()
        try:
            urllib.request.build_opener(Stay).open(urllib.request.Request(url, data=body), timeout=PATIENCE)
        except urllib.error.HTTPError as redirect:
            return redirect.headers["Location"]
        raise AssertionError("the provider did not send the browser back")

    def close(self):
        self.process.kill()
        self.process.wait()


class Liar:
    """An OpenID provider (and a GitHub) whose every answer a test can spoil."""

    def __init__(self):
        self.keys = [self.key("one")]
        self.signing = self.keys[0]
        self.change, self.header = {}, {}
        self.codes, self.asked = {}, []
        self.user = {"id": 7, "login": "octo"}
        self.emails = [{"email": "octo@box.test", "primary": True, "verified": True}]
        self.token = None
        self.discovery, self.userinfo = {}, None
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, value, status=200):
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                liar.asked.append(self.path)
                if self.path == "/.well-known/openid-configuration":
                    self.answer({
                        "issuer": liar.issuer, "authorization_endpoint": liar.issuer + "/authorize",
                        "token_endpoint": liar.issuer + "/token", "jwks_uri": liar.issuer + "/keys", **liar.discovery})
                elif self.path == "/userinfo":
                    known = self.headers["Authorization"] == "Bearer x" and liar.userinfo
                    self.answer(liar.userinfo if known else {"error": "invalid_token"}, 200 if known else 401)
                elif self.path == "/keys" and not liar.keys:
                    self.answer({}, 503)
                elif self.path == "/keys":
                    self.answer({"keys": [key.as_dict(private=False) for key in liar.keys]})
                elif self.path == "/user":
                    self.answer(liar.user if self.headers["Authorization"] == "Bearer gho" else {}, 200)
                elif self.path == "/user/emails":
                    self.answer(liar.emails)
                else:
                    self.answer({}, 404)

            def do_POST(self):
                fields = dict(urllib.parse.parse_qsl(
                    self.rfile.read(int(self.headers["Content-Length"])).decode()))
                known = liar.codes.pop(fields.get("code"), None)
                challenge = base64.urlsafe_b64encode(
                    hashlib.sha256(fields.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
                if not known or challenge != known["code_challenge"]:
                    return self.answer({"error": "invalid_grant", "error_description": "this code was used"}, 400)
                if self.path == "/login/oauth/access_token":
                    return self.answer({"access_token": "gho", "token_type": "bearer"})
                self.answer({"id_token": liar.token or liar.id_token(known["nonce"]), "access_token": "x",
                             "token_type": "Bearer"})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def key(name):
        return jwk.RSAKey.generate_key(2048, {"kid": name, "alg": "RS256", "use": "sig"})

    def id_token(self, nonce):
        claims = {"iss": self.issuer, "sub": "person", "aud": "client", "exp": int(time.time()) + 300,
                  "iat": int(time.time()), "nonce": nonce, "email": "pia@box.test", "email_verified": True,
                  "preferred_username": "pia", **self.change}
        return jwt.encode({"alg": "RS256", "kid": self.signing.kid, **self.header},
                          {key: value for key, value in claims.items() if value is not None}, self.signing)

    def authorize(self, url):
        """Agrees at once; returns where the browser is sent."""
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(url).query))
        assert query["code_challenge_method"] == "S256"
        code = f"code{len(self.asked)}-{time.monotonic_ns()}"
        self.codes[code] = query
        return f"{query['redirect_uri']}?code={code}&state={query['state']}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def path(url):
    """What of a URL a browser asks its server for."""
    parts = urllib.parse.urlparse(url)
    return parts.path + ("?" + parts.query if parts.query else "")


def state_of(url):
    return re.search(r"[?&]state=([^&]+)", url).group(1)
