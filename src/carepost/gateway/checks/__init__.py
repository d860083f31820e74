"""One module for each check: `async (Examination) -> list[Finding]`. A check may look; it may not touch.

Checks know nothing of one another. What they find is named by a closed list of codes (carepost.gateway.facts turns
codes into the facts of the cards).
"""
