"""Rules that a person without programming can read: cards, the phrases they are in, and the one evaluator. PURE."""
