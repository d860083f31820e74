"""The composition root: settings in hand, build the rooms in order, open the doors, close them in the reverse order.

Long, dull and readable: no registry, no container, nothing happens at import.
"""
