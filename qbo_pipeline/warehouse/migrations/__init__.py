"""Alembic's home: one file in ``versions`` per step. ``warehouse.migrate`` runs them; there is no alembic.ini."""
