"""What the documentation says is so: commands, options, settings, links; and nothing of one machine is in it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from qbo_pipeline.catalog import ENTITIES
from qbo_pipeline.cli import main
from qbo_pipeline.settings import variables

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CLI = (ROOT / "docs" / "cli.md").read_text()


def commands(group: click.Group = main, above: str = "qbo") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


def section(command: str) -> str:
    """Return what docs/cli.md says about a command."""
    return CLI.partition(f"## {command}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=[name for name, _ in commands()])
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    said = section(name)
    assert said, f"docs/cli.md has no section '{name}'"
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert f"`{parameter.opts[-1]}" in said, f"{name} {parameter.opts[-1]}"


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^## (qbo .+)$", CLI, re.MULTILINE)) == {name for name, _ in commands()}


def test_no_option_is_documented_that_does_not_exist() -> None:
    for name, command in commands():
        known = {opt for parameter in command.params for opt in parameter.opts}
        assert set(re.findall(r"^\| `(--[a-z-]+)", section(name), re.MULTILINE)) <= known, name


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_current() -> None:
    for path, text in generator().generated().items():
        assert path.read_text() == text, f"{path.name} is not current: run 'make docs'"


def test_every_setting_is_in_the_readme_and_in_the_example() -> None:
    for variable, _, _ in variables().values():
        assert f"| `{variable}` |" in (ROOT / "README.md").read_text()
        assert f"#{variable}=" in (ROOT / ".env.example").read_text()


def test_the_example_sets_nothing_by_itself() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_readme_names_the_entities_that_are_synced() -> None:
    said = (ROOT / "README.md").read_text().partition("Entities so far: ")[2].partition(".")[0]
    assert set(re.split(r",\s+", said)) == {entity.name for entity in ENTITIES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    for name in re.findall(r"(?:qbo_pipeline|docs|tests)/[\w/]+\.(?:py|md)", page.read_text()):
        assert (ROOT / name).exists(), name


def test_make_targets_that_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"`make ([a-z]+)`|^    make ([a-z]+)", page.read_text(), re.MULTILINE)) <= {
            pair for target in targets for pair in ((target, ""), ("", target))
        }


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """Paths of one machine mean nothing on another, and say more about their author than they should."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    foreign = re.compile("/" + "work/|/" + r"root/|/home/(?!<|\$|USER|you)\w+")
    found = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.suffix != ".lock":
            text = path.read_text(errors="replace")
            found += [f"{name}: {line.strip()[:80]}" for line in text.splitlines() if foreign.search(line)]
    assert found == []
