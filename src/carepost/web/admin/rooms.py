"""What the pages of administration are built over."""

from dataclasses import dataclass

from carepost.base.clock import Clock
from carepost.directory.register_keeping import RegisterKeeping
from carepost.directory.rules_keeping import RulesKeeping
from carepost.directory.tls_exceptions import TlsExceptions
from carepost.web.admin.exceptions import ExceptionPages
from carepost.web.admin.held import HeldDesk, HeldMailPages
from carepost.web.admin.policy import PolicyPages
from carepost.web.admin.register import RegisterPages
from carepost.web.shell import Door


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRooms:
    register: RegisterKeeping
    exceptions: TlsExceptions
    rules: RulesKeeping
    held: HeldDesk


def doors(rooms: AdminRooms, clock: Clock) -> list[Door]:
    """Every door of administration."""
    return [
        *RegisterPages(keeping=rooms.register, clock=clock).doors(),
        *ExceptionPages(exceptions=rooms.exceptions, clock=clock).doors(),
        *PolicyPages(keeping=rooms.rules).doors(),
        *HeldMailPages(mail=rooms.held).doors(),
    ]
