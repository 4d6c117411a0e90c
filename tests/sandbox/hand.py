"""A small hand to work a sandbox with: as an app, and through the remote control."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

ROOT = Path(__file__).resolve().parents[2]
REALM, LOADED = "9130000000000001", "9130000000000002"
CLIENT = ("sandbox-client", "sandbox-secret")
CALLBACK = "http://localhost:9/callback"
SCOPE = "com.intuit.quickbooks.accounting"


@dataclass
class Sandbox:
    """Talks to a running sandbox: as an app, and through the remote control."""

    url: str
    session: requests.Session
    tokens: dict[str, Any] = field(default_factory=dict)

    def control(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self.session.request(method, f"{self.url}/_sandbox{path}", json=body, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json()

    def authorize(self, **params: str) -> requests.Response:
        asked = {"client_id": CLIENT[0], "response_type": "code", "scope": SCOPE} | params
        asked = {"redirect_uri": CALLBACK, "state": "s1", "auto": "1"} | asked
        return self.session.get(f"{self.url}/connect/oauth2", params=asked, allow_redirects=False, timeout=30)

    def code(self, realm: str = REALM, **params: str) -> str:
        landed = self.authorize(realm=realm, **params).headers["location"]
        return parse_qs(urlsplit(landed).query)["code"][0]

    def token(self, *, auth: tuple[str, str] | None = CLIENT, **form: str) -> requests.Response:
        return self.session.post(f"{self.url}/oauth2/v1/tokens/bearer", data=form, auth=auth, timeout=30)

    def exchange(self, code: str) -> requests.Response:
        return self.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)

    def refresh(self, token: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=token)

    def connect(self, realm: str = REALM) -> dict[str, Any]:
        self.tokens[realm] = self.exchange(self.code(realm)).json()
        found: dict[str, Any] = self.tokens[realm]
        return found

    def call(self, method: str, path: str, *, realm: str = REALM, **more: Any) -> requests.Response:
        if realm not in self.tokens:
            self.connect(realm)
        headers = {"Authorization": f"Bearer {self.tokens[realm]['access_token']}", "Accept": "application/json"}
        headers |= more.pop("headers", {})
        url = f"{self.url}/v3/company/{realm}/{path}"
        return self.session.request(method, url, headers=headers, timeout=30, **more)

    def query(self, statement: str, *, realm: str = REALM, status: int = 200) -> Any:
        answer = self.call("GET", "query", realm=realm, params={"query": statement, "minorversion": "75"})
        assert answer.status_code == status, answer.text
        return answer.json()

    def ids(self, statement: str, *, realm: str = REALM) -> list[str]:
        found = self.query(statement, realm=realm)["QueryResponse"]
        rows = next((value for value in found.values() if isinstance(value, list)), [])
        return [row["Id"] for row in rows]

    def fault(self, statement: str) -> tuple[str, str]:
        error = self.query(statement, status=400)["Fault"]["Error"][0]
        return error["code"], error["Detail"]

    def books(self, realm: str = REALM) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = self.control("GET", f"/books/{realm}")["entities"]
        return found

    def edit(self, *operations: dict[str, Any], realm: str = REALM) -> Any:
        return self.control("POST", f"/books/{realm}", list(operations))["applied"]

    def empty_company(self, realm: str = "9130000000000009") -> str:
        self.control("POST", "/companies", {"realm": realm, "name": "Empty"})
        return realm
