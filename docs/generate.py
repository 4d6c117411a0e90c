"""Write the generated parts of the documentation: the environment table of README.md, and .env.example.

``python docs/generate.py`` writes them, ``--check`` only says whether they are current (a test does the same).
"""

from __future__ import annotations

import sys
from pathlib import Path

from qbo_pipeline.settings import variables

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- settings: begin (docs/generate.py) -->", "<!-- settings: end -->"

ENV_HEAD = """\
# Copy to .env (which git ignores) and fill in what you need. Everything is optional: without DATABASE_URL an embedded
# Postgres is used, and without QBO_ENVIRONMENT only a local QuickBooks is talked to. Variables of the process win.
"""

EXAMPLES = {
    "database_url": "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require",
    "dagster_database_url": "postgresql://USER:PASSWORD@HOST/dagster?sslmode=require",
    "environment": "production",
    "local_url": "http://127.0.0.1:8700",
    "client_id": "",
    "client_secret": "",
    "auth_basic": "",
    "token_key": "",
    "token_key_file": "",
    "token_storage": "encrypted",
    "installation": "",
    "webhook_verifier_token": "",
    "alert_webhook_url": "",
}


def table() -> str:
    """Return the environment table."""
    lines = ["| Variable | Default | What it is |", "|---|---|---|"]
    for variable, default, about in variables().values():
        lines.append(f"| `{variable}` | {f'`{default}`' if default else ''} | {about} |")
    return "\n".join(lines)


def readme(text: str) -> str:
    """Return README.md with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def env_example() -> str:
    """Return .env.example."""
    parts = [ENV_HEAD]
    for field, (variable, default, about) in variables().items():
        parts.append(f"\n# {about[0].upper()}{about[1:]}.\n#{variable}={EXAMPLES.get(field, default)}\n")
    return "".join(parts)


def generated() -> dict[Path, str]:
    """Return what the generated files should hold."""
    path = ROOT / "README.md"
    return {path: readme(path.read_text()), ROOT / ".env.example": env_example()}


def main() -> None:
    """Write them, or with --check say which are not current."""
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        sys.exit(f"not current: {', '.join(path.name for path in stale)}; run 'make docs'" if stale else 0)
    for path in stale:
        path.write_text(generated()[path])


if __name__ == "__main__":
    main()
