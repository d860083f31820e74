"""The portal, as the outbound walk is given it: links are made, revoked and followed."""

from carepost.app import mail_out
from carepost.app.areas import Areas
from carepost.app.portal import secure_messages
from carepost.gateway.out.ports import MakesLinks


def portal_links(areas: Areas) -> MakesLinks:
    """Makes the secure link of a message and the notice that tells of it."""
    return mail_out.portal_links(areas, secure_messages(areas))
