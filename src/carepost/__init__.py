"""Carepost: secure, self-hosted email for health and care. Start reading at ARCHITECTURE.md."""

__version__ = "0.1.0"
