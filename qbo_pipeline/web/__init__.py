"""The inbound HTTP door: OAuth consent, health."""
