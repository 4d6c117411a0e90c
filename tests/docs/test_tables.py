"""docs/tables.md says what the catalogue says, and about all of it."""

from __future__ import annotations

import pytest

from docs.tables_reference import PAGE, reference
from qbo_pipeline.catalog import ENTITIES, GROUPS, Entity, entity_named, tables


def section(name: str) -> str:
    """Return what the page says about one table."""
    return reference().split(f"\n### {name}\n")[1].split("\n### ")[0].split("\n## ")[0]


def test_the_page_is_up_to_date() -> None:
    assert PAGE.exists(), "docs/tables.md is not written yet: run 'make docs'"
    assert PAGE.read_text(encoding="utf-8") == reference(), "docs/tables.md is stale: run 'make docs'"


@pytest.mark.parametrize("table", tables(), ids=lambda table: table.name)
def test_every_table_and_column_has_its_line(table: object) -> None:
    (wanted,) = (each for each in tables() if each is table)
    said = section(wanted.name)
    listed = [line.split("`")[1] for line in said.splitlines() if line.startswith("| `")]
    assert listed == list(wanted.column_names)
    assert "- Primary key: " + ", ".join(f"`{name}`" for name in wanted.key) in said
    for fact in ("- One row per company", "- Changes: ", "- Deletes: "):
        assert said.count(fact) == 1


def test_every_row_of_the_page_has_four_cells() -> None:
    cells = {line.replace("\\|", "").count("|") for line in reference().splitlines() if line.startswith("|")}
    assert cells == {5}


def test_every_group_has_a_heading() -> None:
    assert [title for title in GROUPS.values() if f"\n## {title}\n" not in reference()] == []


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.name)
def test_how_changes_and_deletes_arrive_follows_from_the_entity(entity: Entity) -> None:
    said = section(entity.table_name)
    assert ("exactly one" in said) == entity.singleton
    assert ("made inactive instead" in said) == (entity.active and not entity.singleton)
    if entity.reads != "list" and not entity.singleton:
        assert ("change data capture covers it" in said) == entity.cdc


def test_a_natural_key_and_a_line_are_explained() -> None:
    assert "known by its SourceCurrencyCode + TargetCurrencyCode + AsOfDate." in section("exchange_rates")
    assert "One row per company, Budget and entry of its `BudgetDetail`" in section("budget_details")
    assert "whenever its row in `budgets` is." in section(entity_named("budgets").tables[1].name)
