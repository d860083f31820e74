"""Cards for how a recipient gets what our people send: the first that applies settles it."""
