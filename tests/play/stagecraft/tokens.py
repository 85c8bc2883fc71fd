"""tokens.py: JWTs made by hand, good ones and bad ones, and who may log in. HMAC is Python's; RSA and P-256 are the openssl command's.

    mint = minted(s)                                an HS256 key in a file of the stage's, and auth.keys that name it
    mint("ana", machines_view=["m1"])               a token for an hour
    mint("ana", exp=lambda now: now + 2)            … until then
    Key.rsa(path), Key.p256(path)                   keys that openssl makes
"""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time
from pathlib import Path


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value):
    return base64url(json.dumps(value, separators=(",", ":")).encode())


def openssl(*words, given=None):
    return subprocess.run(["openssl", *map(str, words)], input=given, check=True, capture_output=True).stdout


def plain_ecdsa(der):
    """r and s of a DER signature, 32 bytes each (RFC 7518, 3.4)."""
    at, numbers = 2, []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2:at + 2 + length], "big").to_bytes(32, "big"))
        at += 2 + length
    return b"".join(numbers)


class Key:
    def __init__(self, kid, alg, path, private=None):
        self.kid, self.alg, self.path, self.private = kid, alg, Path(path), Path(private or path)

    @classmethod
    def secret(cls, path, kid="k1", text=None):
        path = Path(path)
        path.write_text((text or os.urandom(32).hex()) + "\n")
        path.chmod(0o600)
        return cls(kid, "HS256", path)

    @classmethod
    def made(cls, path, kid="hs256"):
        """The one that Noria makes if none is configured."""
        return cls(kid, "HS256", path)

    @classmethod
    def rsa(cls, path, kid="rsa"):
        return cls._pem(path, kid, "RS256", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")

    @classmethod
    def p256(cls, path, kid="ec"):
        return cls._pem(path, kid, "ES256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")

    @classmethod
    def _pem(cls, path, kid, alg, *how):
        private = Path(f"{path}.private")
        private.write_bytes(openssl("genpkey", *how))
        private.chmod(0o600)
        Path(path).write_bytes(openssl("pkey", "-in", private, "-pubout"))
        return cls(kid, alg, path, private)

    def entry(self):
        return {"kid": self.kid, "alg": self.alg, "file": str(self.path)}

    def sign(self, data):
        if self.alg == "HS256":
            return hmac.new(self.path.read_bytes().rstrip(b"\r\n"), data, hashlib.sha256).digest()
        signature = openssl("dgst", "-sha256", "-sign", self.private, given=data)
        return signature if self.alg == "RS256" else plain_ecdsa(signature)

    def token(self, claims, **header):
        """`header`: members beside alg, typ and kid; None takes one out."""
        header = {"alg": self.alg, "typ": "JWT", "kid": self.kid, **header}
        data = f"{part({k: v for k, v in header.items() if v is not None})}.{part(claims)}"
        return f"{data}.{base64url(self.sign(data.encode()))}"

    def __call__(self, sub, exp=None, header=None, **claims):
        now = int(time.time())
        exp = exp(now) if exp else now + 3600
        return self.token({"sub": sub, "exp": exp, **claims}, **(header or {}))


def minted(stage, name="hs.key", **settings):
    """A stage with one HS256 key; the key, which makes tokens."""
    key = Key.secret(stage.dir / name)
    stage.set("auth", keys=[key.entry()], **settings)
    return key


def hashed(password, noria):
    """What auth.users[].password holds."""
    made = subprocess.run([str(noria), "hash-password"], input=password + "\n", check=True, capture_output=True, text=True)
    return made.stdout.strip()
