"""The end that speaks SQL to Postgres: the engine, the tables we own, the token store, the embedded server."""
