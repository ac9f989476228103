"""SCRAM-SHA-256 secrets (RFC 5803): what a server keeps of a password to check logins against."""

from __future__ import annotations

import base64
import hashlib
import hmac

ITERATIONS = 4096


def secret(user: str, password: str) -> str:
    """The secret of the user, as PostgreSQL and PgBouncer write it.

    The salt follows from user and password, so that the secret, and the file it is in, change with
    them alone. For random passwords of ASCII characters, as set-up makes them.
    """
    salt = hashlib.sha256(f"{user}\0{password}".encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(ITERATIONS, *parts)
