"""A small OpenID Connect provider, like the one of a hospital with its own sign-in."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask, jsonify, redirect, request

PERSON = {"sub": "7", "email": "eve@clinic.example", "email_verified": True, "preferred_username": "eve"}


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def provider() -> Iterator[str]:
    """Run a provider that signs everybody in as Eve; yield its URL."""
    app = Flask(__name__)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "one", "use": "sig"}

    @app.get("/.well-known/openid-configuration")
    def discovery() -> Any:
        names = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        endpoints = {f"{name}_endpoint": f"{url}/{path}" for name, path in names.items()}
        return jsonify(endpoints | {"issuer": url, "jwks_uri": f"{url}/keys"})

    @app.get("/authorize")
    def authorize() -> Any:
        return redirect(
            request.args["redirect_uri"] + "?" + urlencode({"code": "good", "state": request.args["state"]})
        )

    @app.get("/keys")
    def keys() -> Any:
        return jsonify({"keys": [public | {"alg": "RS256"}]})

    @app.post("/token")
    def token() -> Any:
        assert request.form["code"] == "good"
        assert request.form["code_verifier"]
        now = int(time.time())
        claims = PERSON | {"iss": url, "aud": "pneumoqueue", "iat": now, "exp": now + 60}
        id_token = jwt.encode(claims, key, "RS256", headers={"kid": "one"})
        return jsonify({"access_token": "secret", "token_type": "Bearer", "id_token": id_token})

    @app.get("/userinfo")
    def userinfo() -> Any:
        return jsonify(PERSON)

    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield url
        server.shutdown()
        thread.join()
