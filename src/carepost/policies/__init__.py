"""The shipped policy cards: TOML files, one rule each. See README.md beside them."""
