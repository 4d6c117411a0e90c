"""What a refusal from QuickBooks means, as the one exception that says what to do next.

Flows in    what we were doing, and the status, headers and body that came back
Flows out   ``error_for``: a ``QboError`` of the class that names the reaction; ``fault_in``: the fault, if there is one
Refuses     to repeat what may be secret or somebody's books: no token, and of a body only Intuit's own fault text

Intuit has three spellings of a fault (capitalised JSON from the service, lower-case JSON from the gateway, XML when a
proxy lost our Accept header) and, under load or maintenance, HTML or nothing at all. Any of them may come as a 200.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from qbo_pipeline.errors import (
    NotFoundError,
    QboError,
    RejectedError,
    RetryableError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
)

_SHOWN = 400  # characters of Intuit's own explanation worth a person's time
_LOOKED_AT = 65_536  # bytes of a body that is not JSON we are willing to search for a fault

# Codes of a statement or record that will be refused again, even where Intuit sends them with a 5xx or a 200.
_FINAL_CODES = frozenset({"120", "500", "600", "2010", "2020", "2030", "3100", "4000", "4001", "4002", "6190"})

_ADVICE = {
    "120": "the person who connected this company may not read it any more; an administrator must connect it again",
    "3100": "this app's keys may not read this company (keys of another environment, or a missing scope);"
    " check the keys, then connect the company again (qbo connect)",
    "4002": "one record QuickBooks holds cannot be read; read smaller windows of time to find it",
    "6190": "the company's QuickBooks subscription has ended; pause it until it is renewed",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Intuit's own account of what went wrong; texts are already safe to show."""

    code: str | None
    message: str
    detail: str
    type: str


def fault_in(body: bytes, secrets: tuple[str, ...] = ()) -> Fault | None:
    """Return the first fault ``body`` carries, in whichever spelling; None when it carries none."""
    document: Any
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _xml_fault(body, secrets)
    return _json_fault(document, secrets)


def error_for(
    attempt: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    reason: str = "",
    secrets: tuple[str, ...] = (),
    entity: str = "",
    own_address: bool = False,
) -> QboError:
    """Build (and return, never raise) the error for an answer that is not what was asked for.

    ``reason`` is the reader's own word for what is wrong with a 200. ``entity`` is given when its records as
    such were asked for, not one of them: only then can a refusal mean that this company does not have the entity;
    ``own_address`` when they were asked for at an address that serves nothing else.
    """
    fault = fault_in(body, secrets)
    tid = intuit_tid(headers)
    code = fault.code if fault else None
    what = f"{attempt}: {_what_came(status, headers, body, fault)}" + (f" ({reason})" if reason and not fault else "")

    if status == 429 or code == "3001" or (fault is not None and "throttleexceeded" in fault.message.lower()):
        return ThrottledError(
            f"{what}; we wait and try again, and if it lasts the app's monthly allowance of reads may be used up"
            " (Intuit then answers 429 until next month)",
            retry_after=retry_after(headers),
            status=status,
            code=code,
            intuit_tid=tid,
        )
    if code == "3200" or (status == 401 and code not in {"120", "3100"}):
        advice = "; the access token was refused: refresh it, and if that does not help connect the company again"
        return UnauthorizedError(what + advice, status=status, code=code, intuit_tid=tid)
    if code == "610":
        return NotFoundError(f"{what}; it was deleted or never existed", status=status, code=code, intuit_tid=tid)
    if code in {"5020", "5030"} or (entity and _is_unknown_here(entity, own_address, status, fault)):
        advice = "; this company's plan or region does not have it, so there is nothing to read"
        return UnavailableError(what + advice, status=status, code=code, intuit_tid=tid)
    if _is_final(status, fault) or (fault is None and _speaks_of_subscription(body)):
        advice = _ADVICE.get(code or "", "the same request would be refused again; change it or report it")
        return RejectedError(f"{what}; {advice}", status=status, code=code, intuit_tid=tid)
    return RetryableError(f"{what}; try again later", status=status, code=code, intuit_tid=tid)


def intuit_tid(headers: Mapping[str, str]) -> str | None:
    """Return the id Intuit's support asks for; both spellings are sent, and proxies change the case."""
    for name, value in headers.items():
        if name.lower().replace("-", "_") == "intuit_tid" and (found := re.sub(r"[^\w.:-]", "", value)[:80]):
            return found
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds Intuit wants us to wait, when it says so in a form we understand."""
    wanted = _header(headers, "retry-after")
    if re.fullmatch(r"\s*[0-9]{1,7}(?:\.[0-9]{1,3})?\s*", wanted, re.ASCII):
        return float(wanted)
    # The other form is a date; measured against the server's own Date, our clock may be as wrong as it likes.
    until, now = http_date(wanted), http_date(_header(headers, "date"))
    return max(0.0, (until - now).total_seconds()) if until and now else None


def http_date(text: str) -> datetime | None:
    """Read a date as HTTP headers write it; None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
    return moment if moment.tzinfo else None


def safe_text(text: object, secrets: tuple[object, ...] = ()) -> str:
    """Return Intuit's words on one line, shortened, without anything that may be a token."""
    words = str(text or "")[:8_000]
    for secret in secrets:
        if isinstance(secret, str) and len(secret) > 3:
            words = words.replace(secret, "[hidden]")
    words = re.sub(r"(?i)\b(token[^:=]{0,30}[:=]|bearer|basic)\s*[^\s\"',;)]{8,}", r"\1 [hidden]", words)
    # Whatever its prefix (eyJ, RT1-, AB0): a long unbroken run that mixes digits and letters is never prose.
    words = re.sub(r"[\w.+/=-]{24,}", _hidden_if_mixed, words)
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return words if len(words) <= _SHOWN else words[: _SHOWN - 1] + "…"


def _hidden_if_mixed(run: re.Match[str]) -> str:
    mixed = any(sign.isdigit() for sign in run[0]) and any(sign.isalpha() for sign in run[0])
    return "[hidden]" if mixed else run[0]


def _is_unknown_here(entity: str, own_address: bool, status: int, fault: Fault | None) -> bool:
    """Does this refusal of a whole entity say that the company has no such entity?

    Two spellings are known: 4001 naming the entity, and 500 "Unsupported Operation". The latter is what Intuit says of
    a wrong address too (``Could not find resource``), and there is one address for all queries: taking that for an
    answer would turn a mistake of ours into empty books. It counts only for an address that serves nothing else.
    """
    if fault is None or status not in {200, 400}:
        return False
    detail = fault.detail.lower()
    if fault.code == "4001":
        return re.search(rf"invalid context declaration:?\s*{re.escape(entity.lower())}\b", detail) is not None
    said_so = fault.code == "500" and fault.message.lower() == "unsupported operation"
    return said_so and (own_address or "could not find resource" not in detail)


def _is_final(status: int, fault: Fault | None) -> bool:
    """Would the same request be refused again?"""
    if 300 <= status < 500 and status not in {408, 425}:
        return True
    return fault is not None and (fault.code in _FINAL_CODES or "validation" in fault.type.lower())


def _speaks_of_subscription(body: bytes) -> bool:
    """Is this the plain text QuickBooks sends, with HTTP 200, for a company whose subscription ended?

    Known from intuit/QuickBooks-V3-PHP-SDK issue 211; read as JSON it would be "no answer, try again" for ever.
    """
    start = body[:2048].lstrip().lower()
    return b"subscription" in start and not start.startswith((b"{", b"[", b"<"))


def _what_came(status: int, headers: Mapping[str, str], body: bytes, fault: Fault | None) -> str:
    if fault is not None:
        parts = [f"QuickBooks answered HTTP {status}"]
        if fault.code:
            parts.append(f"code {fault.code}")
        said = ": ".join(text for text in (fault.message, fault.detail) if text)
        return ", ".join(parts) + (f" ({said})" if said else "")
    if 300 <= status < 400:
        return f"QuickBooks answered HTTP {status}, a redirect, which we never follow"
    return f"QuickBooks answered HTTP {status} with {_kind_of(headers, body)}"


def _kind_of(headers: Mapping[str, str], body: bytes) -> str:
    """Name the kind of a body we must not quote."""
    start = body[:512].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith((b"<!doctype html", b"<html")) or "html" in _header(headers, "content-type").lower():
        return "an HTML page"
    if _speaks_of_subscription(body):
        return "a text about the company's subscription, which may have ended"
    if start.startswith(b"<"):
        return "XML that is no fault we know"
    if start.startswith((b"{", b"[")):
        return "JSON that is broken off or not what was asked for"
    return "a body that is no JSON"


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def _json_fault(document: Any, secrets: tuple[str, ...]) -> Fault | None:
    if not isinstance(document, dict):
        return None
    for name in ("Fault", "fault"):
        fault = document.get(name)
        if isinstance(fault, dict):
            lowered = {str(key).lower(): value for key, value in fault.items()}
            errors = lowered.get("error")
            first = errors[0] if isinstance(errors, list) and errors else errors
            parts = {str(key).lower(): value for key, value in first.items()} if isinstance(first, dict) else {}
            return _fault(parts.get("code"), parts.get("message"), parts.get("detail"), lowered.get("type"), secrets)
        if fault:  # a fault in no shape we know is still not an answer
            return Fault(code=None, message="", detail="", type="")
    return None


def _xml_fault(body: bytes, secrets: tuple[str, ...]) -> Fault | None:
    # Searched, not parsed: an XML parser would bring entity expansion with it, for four strings.
    text = body[:_LOOKED_AT].decode("utf-8", "replace")
    fault = re.search(r"<Fault\b([^<>]*)>", text)
    if fault is None:
        return None
    rest = text[fault.end() :]

    def inside(tag: str) -> str:
        found = re.search(rf"<{tag}\b[^<>]*>([^<]*)</{tag}>", rest)
        return html.unescape(found[1]) if found else ""

    code = re.search(r"<Error\b[^<>]*\bcode=\"([^\"]*)\"", rest)
    kind = re.search(r"\btype=\"([^\"]*)\"", fault[1])
    return _fault(code and code[1], inside("Message"), inside("Detail"), kind and kind[1], secrets)


def _fault(code: object, message: object, detail: object, kind: object, secrets: tuple[str, ...]) -> Fault:
    message_text = safe_text(message, secrets)
    number = re.fullmatch(r"\s*0*([0-9]{1,8})\s*", str(code if code is not None else ""), re.ASCII)
    if number is None:  # the gateway sometimes says it only in the message
        number = re.search(r"errorCode=0*([0-9]{1,8})", message_text, re.ASCII)
    detail_text = safe_text(detail, secrets)
    return Fault(number[1] if number else None, message_text, detail_text, safe_text(kind))
