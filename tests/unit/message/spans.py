"""What holds for the offsets of every message, whatever its bytes."""

from carepost.message.model import Message, Part


def spans_are_nested(message: Message) -> bool:
    """Every span lies within its parent's, and siblings don't overlap."""
    stack: list[tuple[Part, int, int]] = [(message.root, 0, len(message.raw))]
    while stack:
        part, low, high = stack.pop()
        if not low <= part.header.start <= part.header.end == part.body.start <= part.body.end <= high:
            return False
        at = part.header.start
        for header in part.headers:
            if (
                not at
                == header.span.start
                <= header.value.start
                <= header.value.end
                <= header.span.end
                <= part.header.end
            ):
                return False
            at = header.span.end
        below = part.children if part.message is None else (part.message,)
        at = part.body.start
        for child in below:
            stack.append((child, at, part.body.end))
            at = child.body.end
    return True
