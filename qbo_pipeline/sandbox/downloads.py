"""The files of attachments: addresses that are good for fifteen minutes, and what is behind them.

An attachment's record and ``/download/{id}`` give an address outside the API, signed and dated by the sandbox's clock
(Intuit: attachable; in real life Amazon S3). It is fetched without a token: S3 refuses a request that brings one, and
so does this. No file was ever uploaded here, so a file is made up: as many bytes as its record says, always the same.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qbo_pipeline.sandbox.clock import Clock
from qbo_pipeline.sandbox.values import Payload, amount, decode, encode

ENTITY = "Attachable"
GOOD_FOR_SECONDS = 900
LARGEST = 100 * 1024 * 1024  # Intuit's own limit for an upload


class Downloads:
    """Signs addresses, and knows its own signature again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._secret = secrets.token_bytes(16)

    def address(self, base: str, realm: str, key: str, name: str) -> str:
        """Return an address of one file, good from now on; another one at every call, as Intuit's are."""
        expires = str(int(self._clock.now()) + GOOD_FOR_SECONDS)
        nonce = secrets.token_hex(8)
        signature = self._signature(realm, key, expires, nonce)
        file = quote(name.replace("/", "_"), safe="")
        return f"{base}files/{realm}/{key}/{file}?Expires={expires}&Nonce={nonce}&Signature={signature}"

    def is_good(self, realm: str, key: str, expires: str, nonce: str, signature: str) -> bool:
        """Did we sign this, and less than fifteen minutes ago?"""
        ours = hmac.compare_digest(self._signature(realm, key, expires, nonce).encode(), signature.encode())
        return ours and self._clock.now() < int(expires)

    def with_address(self, body: bytes, realm: str, base: str) -> bytes:
        """Return an attachment's record as it is read: with a fresh address, unless it has one or there is no file."""
        payload: Payload = decode(body)
        name, key = payload.get("FileName"), payload.get("Id")
        if not name or "TempDownloadUri" in payload or payload.get("sparse") is True:  # sparse: a projection
            return body
        return encode(payload | {"TempDownloadUri": self.address(base, realm, str(key), str(name))})

    def _signature(self, *parts: str) -> str:
        return hmac.new(self._secret, "/".join(parts).encode(), hashlib.sha256).hexdigest()


def content(payload: Payload) -> bytes:
    """Return the bytes of a file: as many as its record says."""
    size = min(max(int(amount(payload.get("Size", 64))), 0), LARGEST)
    line = f"{payload.get('FileName')} of attachment {payload.get('Id')}\n".encode()
    return (line * (size // len(line) + 1))[:size]


async def fetch(request: Request) -> Response:
    """Serve a file to whoever knows its address."""
    world, where, asked = request.app.state.world, request.path_params, request.query_params
    if "authorization" in request.headers:
        return _refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
    signed = (asked.get("Expires", ""), asked.get("Nonce", ""), asked.get("Signature", ""))
    if not world.downloads.is_good(where["realm"], where["key"], *signed):
        return _refusal(403, "AccessDenied", "Request has expired")
    books = world.companies.get(where["realm"])
    record = books.get(ENTITY, where["key"]) if books is not None else None
    if record is None:
        return _refusal(404, "NoSuchKey", "The specified key does not exist.")
    payload = record.payload()
    return Response(content(payload), media_type=str(payload.get("ContentType") or "application/octet-stream"))


def _refusal(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(body, status, media_type="application/xml")


ROUTES = [Route("/files/{realm}/{key}/{name}", fetch, methods=["GET"])]
