"""The script one would write: requests, SQLAlchemy models of two tables, an upsert per page.

    python -m benchmarks.rivals.upserts URL_OF_FAKE URL_OF_DATABASE INVOICES

It keeps some thirty fields and forgets the others, as such scripts do; money is ``Decimal`` of a float's text.
"""

from __future__ import annotations

import sys
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, ForeignKey, Text, create_engine, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateSchema

from benchmarks.rivals import pages


class Base(DeclarativeBase):
    """Tables of schema ``rival``."""

    __table_args__ = {"schema": "rival"}  # noqa: RUF012 - SQLAlchemy's own word
    type_annotation_map = {str: Text, dict[str, Any]: JSON}  # noqa: RUF012


class Invoice(Base):
    """One invoice."""

    __tablename__ = "invoices"
    id: Mapped[str] = mapped_column(primary_key=True)
    sync_token: Mapped[str | None]
    doc_number: Mapped[str | None]
    txn_date: Mapped[date | None]
    due_date: Mapped[date | None]
    customer_id: Mapped[str | None]
    customer_name: Mapped[str | None]
    currency: Mapped[str | None]
    total_amt: Mapped[Decimal | None]
    balance: Mapped[Decimal | None]
    private_note: Mapped[str | None]
    email_status: Mapped[str | None]
    print_status: Mapped[str | None]
    bill_email: Mapped[str | None]
    terms: Mapped[str | None]
    created_at: Mapped[datetime | None]
    updated_at: Mapped[datetime | None]
    bill_addr: Mapped[dict[str, Any] | None]
    ship_addr: Mapped[dict[str, Any] | None]
    tax: Mapped[dict[str, Any] | None]


class Line(Base):
    """One line of an invoice."""

    __tablename__ = "invoice_lines"
    invoice_id: Mapped[str] = mapped_column(ForeignKey("rival.invoices.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    line_num: Mapped[int | None]
    description: Mapped[str | None]
    amount: Mapped[Decimal | None]
    detail_type: Mapped[str | None]
    item_id: Mapped[str | None]
    item_name: Mapped[str | None]
    quantity: Mapped[Decimal | None]
    unit_price: Mapped[Decimal | None]
    tax_code: Mapped[str | None]
    service_date: Mapped[date | None]


def main(fake: str, database: str, invoices: int) -> None:
    """Load every invoice into schema ``rival``."""
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        connection.execute(CreateSchema("rival"))
        Base.metadata.create_all(connection)
    with Session(engine) as session:
        for page in pages(fake, invoices):
            statement = insert(Invoice)
            changed = {name: statement.excluded[name] for name in Invoice.__table__.columns.keys() if name != "id"}  # noqa: SIM118
            session.execute(
                statement.on_conflict_do_update(index_elements=["id"], set_=changed), [_invoice(each) for each in page]
            )
            session.execute(delete(Line).where(Line.invoice_id.in_([each["Id"] for each in page])))
            session.execute(insert(Line), [line for each in page for line in _lines(each)])
            session.commit()


def _invoice(record: dict[str, Any]) -> dict[str, Any]:
    customer = record.get("CustomerRef") or {}
    meta = record.get("MetaData") or {}
    return {
        "id": record["Id"],
        "sync_token": record.get("SyncToken"),
        "doc_number": record.get("DocNumber"),
        "txn_date": _date(record.get("TxnDate")),
        "due_date": _date(record.get("DueDate")),
        "customer_id": customer.get("value"),
        "customer_name": customer.get("name"),
        "currency": (record.get("CurrencyRef") or {}).get("value"),
        "total_amt": _money(record.get("TotalAmt")),
        "balance": _money(record.get("Balance")),
        "private_note": record.get("PrivateNote"),
        "email_status": record.get("EmailStatus"),
        "print_status": record.get("PrintStatus"),
        "bill_email": (record.get("BillEmail") or {}).get("Address"),
        "terms": (record.get("SalesTermRef") or {}).get("value"),
        "created_at": datetime.fromisoformat(meta["CreateTime"]),
        "updated_at": datetime.fromisoformat(meta["LastUpdatedTime"]),
        "bill_addr": record.get("BillAddr"),
        "ship_addr": record.get("ShipAddr"),
        "tax": record.get("TxnTaxDetail"),
    }


def _lines(record: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for position, line in enumerate(record.get("Line") or []):
        detail = line.get("SalesItemLineDetail") or {}
        item = detail.get("ItemRef") or {}
        rows.append(
            {
                "invoice_id": record["Id"],
                "position": position,
                "line_num": line.get("LineNum"),
                "description": line.get("Description"),
                "amount": _money(line.get("Amount")),
                "detail_type": line.get("DetailType"),
                "item_id": item.get("value"),
                "item_name": item.get("name"),
                "quantity": _money(detail.get("Qty")),
                "unit_price": _money(detail.get("UnitPrice")),
                "tax_code": (detail.get("TaxCodeRef") or {}).get("value"),
                "service_date": _date(detail.get("ServiceDate")),
            }
        )
    return rows


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _money(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
