"""Intuit's two fault envelopes, and the faults we know by name.

The service layer writes ``Fault``/``Error``/``Message`` with an ISO ``time``; the gateway in front of it (401, 403,
429) writes lower-case keys and an epoch ``time`` in milliseconds. Shapes follow recorded answers and Intuit's error
pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from qbo_pipeline.sandbox.clock import Clock


@dataclass
class ApiError(Exception):
    """Something the API refuses; rendered into the envelope its status calls for."""

    status: int
    code: str
    message: str
    detail: str | None = None
    type: str = "ValidationFault"
    element: str | None = ""
    gateway: bool = False
    retry_after: int | None = None
    html: bool = False

    def error(self) -> dict[str, Any]:
        """Return the single error in the service layer's spelling."""
        error: dict[str, Any] = {"Message": self.message}
        if self.detail is not None:
            error["Detail"] = self.detail
        error["code"] = self.code
        if self.element is not None:
            error["element"] = self.element
        return {"Error": [error], "type": self.type}

    def body(self, clock: Clock) -> dict[str, Any]:
        """Return the whole JSON answer."""
        if not self.gateway:
            return {"Fault": self.error(), "time": clock.stamp_now()}
        error = {"message": self.message, "detail": self.detail, "code": self.code, "element": None}
        return {
            "warnings": None,
            "intuitObject": None,
            "fault": {"error": [error], "type": self.type},
            "report": None,
            "queryResponse": None,
            "batchItemResponse": [],
            "attachableResponse": [],
            "syncErrorResponse": None,
            "requestId": None,
            "time": int(clock.now() * 1000),
            "status": None,
            "cdcresponse": [],
        }

    def xml(self, clock: Clock) -> str:
        """Return the whole answer for a reader who asked for XML."""
        detail = f"<Detail>{escape(self.detail)}</Detail>" if self.detail else ""
        return (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            f'<IntuitResponse time={quoteattr(clock.stamp_now())} xmlns="http://schema.intuit.com/finance/v3">'
            f"<Fault type={quoteattr(self.type)}><Error code={quoteattr(self.code)}>"
            f"<Message>{escape(self.message)}</Message>{detail}</Error></Fault></IntuitResponse>\n"
        )


def parse_fault(detail: str) -> ApiError:
    return ApiError(400, "4000", "Error parsing query", f"QueryParserError: {detail}", element=None)


def query_fault(detail: str) -> ApiError:
    return ApiError(400, "4001", "Invalid query", f"QueryValidationError: {detail}", element=None)


def poisoned_fault(code: str) -> ApiError:
    """What one bad record does to every answer it is part of (Java-SDK issue 47, PHP-SDK issue 127)."""
    if code == "10000":
        message = "An application error has occurred while processing your request"
        return ApiError(500, code, message, "System Failure Error: a record cannot be read", "SystemFault")
    return ApiError(400, "4002", "Error processing query", "An error occurred while processing the query", "Service")


def not_found() -> ApiError:
    return ApiError(
        400,
        "610",
        "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees.",
    )


def unsupported(detail: str) -> ApiError:
    return ApiError(400, "500", "Unsupported Operation", detail, element="Operation")


def unavailable(how: str, entity: str) -> ApiError:
    """What a company is told about an entity its plan or region lacks; when Intuit says which is unverified."""
    if how == "unsupported":
        return unsupported(f"Operation Query is not supported for entity {entity}.")
    if how == "unknown":
        return query_fault(f"invalid context declaration: {entity}")
    message = "Permission Denied Error" if how == "5020" else "Feature Not Supported Error"
    detail = f"{message} : You do not have access to {entity}, because this company's plan or region does not have it."
    return ApiError(400, how, message, detail)


def stale() -> ApiError:
    return ApiError(
        400,
        "5010",
        "Stale Object Error",
        "Stale Object Error : You and somebody else were working on this at the same time. "
        "Somebody else finished before you did, so your work was not saved.",
    )


def duplicate_name() -> ApiError:
    return ApiError(
        400,
        "6240",
        "Duplicate Name Exists Error",
        "The name supplied already exists. : Another customer, vendor or employee is already using this name. "
        "Please use a different name.",
    )


def missing(parameter: str) -> ApiError:
    return ApiError(
        400,
        "2020",
        "Required param missing, need to supply the required value for the API",
        f"Required parameter {parameter} is missing in the request",
        element=parameter,
    )


def unknown_property(entity: str, name: str, known: list[str]) -> ApiError:
    listed = ", ".join(f'"{each}"' for each in known[:60])
    detail = (
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}), not marked as '
        f"ignorable ({len(known)} known properties: {listed} [truncated]])\n specified is unsupported or invalid"
    )
    return ApiError(400, "2010", "Request has invalid or unsupported property", detail, element=None)


def business_rule(detail: str) -> ApiError:
    return ApiError(400, "6000", "A business validation error has occurred while processing your request", detail)


def unauthorized(detail: str, *, gateway: bool) -> ApiError:
    message = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    return ApiError(
        401, "3200", message, detail, "AUTHENTICATION" if gateway else "AuthenticationFault", gateway=gateway
    )


def forbidden() -> ApiError:
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return ApiError(403, "3100", message, None, "SERVICE", gateway=True)


def throttled(body: str, retry_after: int | None) -> ApiError:
    return ApiError(
        429,
        "3001",
        "message=ThrottleExceeded; errorCode=003001; statusCode=429",
        "The request limit was reached.  Try again later",
        "SERVICE" if body == "gateway" else "ThrottleFault",
        gateway=body == "gateway",
        retry_after=retry_after,
        html=body == "html",
    )
