"""The inbound HTTP door: OAuth consent, webhooks, health."""
