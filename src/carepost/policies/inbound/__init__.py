"""Cards for mail that comes in."""
