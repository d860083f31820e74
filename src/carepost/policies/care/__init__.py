"""Cards for what a sender is asked before a message leaves: every one that applies."""
