"""Who may do what, cell by cell: the published matrix, read from the table below. R37-R41."""

import pytest

from carepost.base.errors import NotAllowed
from carepost.base.ids import MailboxId, OrganisationId, PersonId
from carepost.directory.access import (
    MATRIX,
    AccessRights,
    OnMailbox,
    OnOrganisation,
    OnPerson,
    OnPlatform,
    Standing,
    Thing,
    Verb,
    authorize,
    is_allowed,
    outranks,
)
from carepost.directory.model import MemberRight, PersonStatus, Role

HOME, AWAY = OrganisationId(1000), OrganisationId(1001)
ME, COLLEAGUE, STRANGER = PersonId(1), PersonId(2), PersonId(3)
MINE, MEMBERS, OWNED, OTHERS = MailboxId(10), MailboxId(11), MailboxId(12), MailboxId(13)

# Columns: nobody special (u), helpdesk (h), local administrator (a), primary (p), global helpdesk (H), global
# administrator (G), auditor (r), operator (o). Each row: the verb, the thing, and who may.
TABLE = """
mailbox.read              own mailbox        u h a p H G r
mailbox.read              member's mailbox   u h a p H G r
mailbox.read              owner's mailbox    u h a p H G r
mailbox.read              another mailbox
mailbox.write             own mailbox        u h a p H G r
mailbox.write             another mailbox
mailbox.delete            member's mailbox   u h a p H G r
mailbox.delete            another mailbox
mailbox.send              member's mailbox   u h a p H G r
mailbox.send              another mailbox
mailbox.autoreply         own mailbox        u h a p H G r o
mailbox.autoreply         member's mailbox   a p G o
mailbox.autoreply         owner's mailbox    u h a p H G r o
mailbox.autoreply         another mailbox    a p G o
mailbox.forward           own mailbox        u h a p H G r o
mailbox.forward           member's mailbox   a p G o
mailbox.forward           owner's mailbox    u h a p H G r o
mailbox.forward           another mailbox    a p G o
mailbox.manage_members    own mailbox        a p G o
mailbox.manage_members    member's mailbox   a p G o
mailbox.manage_members    owner's mailbox    u h a p H G r o
mailbox.manage_members    another mailbox    a p G o
mailbox.see_members       member's mailbox   u h a p H G r o
mailbox.see_members       another mailbox    h a p H G o
mailbox.create            organisation       a p G o
mailbox.create            elsewhere          G o
mailbox.close             another mailbox    a p G o
person.read               colleague          u h a p H G r o
person.read               elsewhere person   H G o
person.create             organisation       a p G o
person.create             elsewhere          G o
person.set_status         colleague          a p G o
person.set_status         me                 a p G o
person.set_status         elsewhere person   G o
person.reset_password     colleague          h a p H G o
person.reset_password     elsewhere person   H G o
person.unlock             colleague          h a p H G o
person.revoke_sessions    me                 u h a p H G r o
person.revoke_sessions    colleague          h a p H G o
person.see_sign_ins       me                 u h a p H G r o
person.see_sign_ins       colleague          h a p H G o
person.allow_mail_clients colleague          a p G o
person.allow_mail_clients me                 a p G o
own.account               me                 u h a p H G r
own.account               colleague
own.account               elsewhere person
role.grant_local          organisation       p G o
role.grant_local          elsewhere          G o
role.grant_any            organisation       G o
organisation.read         organisation       u h a p H G r o
organisation.read         elsewhere          H G o
organisation.create       platform           G o
organisation.close        organisation       G o
domain.add                platform           G o
secure_domain.edit        platform           G o
acceptable_use.publish    platform           G o
forwarding.allow          organisation       a p G o
forwarding.allow          elsewhere          G o
outgoing_rules.edit       organisation       a p G o
outgoing_rules.edit       elsewhere          G o
wording.edit              organisation       a p G o
wording.edit              elsewhere          G o
quarantine.review         organisation       h a p H G o
quarantine.review         elsewhere          H G o
quarantine.release        organisation       a p G o
quarantine.release        elsewhere          G o
trace.read                organisation       h a p H G o
trace.read                elsewhere          H G o
queue.tend                organisation       a p G o
queue.tend                elsewhere          G o
certificate.keep          organisation       a p G o
certificate.keep          elsewhere          G o
audit.read                organisation       r
audit.read                elsewhere
"""
ROLES = {
    "u": None,
    "h": Role.LOCAL_HELPDESK,
    "a": Role.LOCAL_ADMINISTRATOR,
    "p": Role.PRIMARY_LOCAL_ADMINISTRATOR,
    "H": Role.GLOBAL_HELPDESK,
    "G": Role.GLOBAL_ADMINISTRATOR,
    "r": Role.AUDITOR,
    "o": None,
}
THINGS: dict[str, Thing] = {
    "own mailbox": OnMailbox(MINE, HOME),
    "member's mailbox": OnMailbox(MEMBERS, HOME),
    "owner's mailbox": OnMailbox(OWNED, HOME),
    "another mailbox": OnMailbox(OTHERS, HOME),
    "organisation": OnOrganisation(HOME),
    "elsewhere": OnOrganisation(AWAY),
    "me": OnPerson(ME, HOME),
    "colleague": OnPerson(COLLEAGUE, HOME),
    "elsewhere person": OnPerson(STRANGER, AWAY),
    "platform": OnPlatform(),
}


def rights(letter: str, status: PersonStatus = PersonStatus.ACTIVE) -> AccessRights:
    if letter == "o":
        return AccessRights.of_operator()
    role = ROLES[letter]
    return AccessRights(
        person=ME,
        organisation=HOME,
        status=status,
        roles=frozenset() if role is None else frozenset({role}),
        personal=MINE,
        shared={MEMBERS: MemberRight.MEMBER, OWNED: MemberRight.OWNER},
    )


def cells() -> list[tuple[Verb, str, str, bool]]:
    found = []
    for line in TABLE.strip().splitlines():
        verb, rest = line[:26].strip(), line[26:]
        thing, letters = rest[:19].strip(), rest[19:].split()
        found += [(Verb(verb), thing, letter, letter in letters) for letter in ROLES]
    return found


@pytest.mark.parametrize(("verb", "thing", "letter", "may"), cells())
def test_the_matrix_says_who_may(verb: Verb, thing: str, letter: str, may: bool) -> None:
    assert is_allowed(rights(letter), verb, THINGS[thing]) is may


def test_every_verb_has_a_row_here_and_in_the_matrix() -> None:
    assert {verb for verb, *_ in cells()} == set(Verb) == set(MATRIX)


def test_no_role_of_administration_opens_content() -> None:
    content = {Standing.HOLDER, Standing.MEMBER, Standing.OWNER}
    for verb in (Verb.MAILBOX_READ, Verb.MAILBOX_WRITE, Verb.MAILBOX_DELETE, Verb.MAILBOX_SEND):
        assert MATRIX[verb] == content


@pytest.mark.parametrize("status", [s for s in PersonStatus if s not in (PersonStatus.ACTIVE, PersonStatus.LEAVER)])
@pytest.mark.parametrize("letter", [letter for letter in ROLES if letter != "o"])
def test_whoever_is_not_active_does_nothing_but_join(letter: str, status: PersonStatus) -> None:
    allowed = {
        (verb, name)
        for verb in Verb
        for name, thing in THINGS.items()
        if is_allowed(rights(letter, status), verb, thing)
    }
    expected = {(Verb.OWN_ACCOUNT, "me")} if status is PersonStatus.INVITED else set()
    assert allowed == expected


def test_a_refusal_says_nothing_about_the_thing() -> None:
    with pytest.raises(NotAllowed) as caught:
        authorize(rights("u"), Verb.MAILBOX_READ, THINGS["another mailbox"])
    assert caught.value.public == "You are not allowed to do this."


def test_the_same_number_elsewhere_is_not_me() -> None:
    assert not is_allowed(rights("u"), Verb.OWN_ACCOUNT, OnPerson(ME, AWAY))


@pytest.mark.parametrize(
    ("letter", "others", "over"),
    [
        ("h", set(), True),
        ("h", {Role.LOCAL_HELPDESK}, False),
        ("a", {Role.LOCAL_HELPDESK}, False),
        ("p", {Role.LOCAL_ADMINISTRATOR}, True),
        ("p", {Role.AUDITOR}, False),
        ("p", {Role.LOCAL_ADMINISTRATOR, Role.GLOBAL_ADMINISTRATOR}, False),
        ("H", {Role.GLOBAL_ADMINISTRATOR}, False),
        ("G", {Role.GLOBAL_ADMINISTRATOR, Role.AUDITOR}, True),
        ("o", {Role.GLOBAL_ADMINISTRATOR}, True),
    ],
)
def test_nobody_touches_the_account_of_their_better(letter: str, others: set[Role], over: bool) -> None:
    assert outranks(rights(letter), frozenset(others)) is over
