"""What a client was told, against a client that believes every word of it."""

from hypothesis import given
from hypothesis import strategies as st

from carepost.base.ids import FolderId, MailboxId, OrganisationId, Uid
from carepost.protocols.imap.names import matches
from carepost.protocols.imap.search_plan import Needs, SearchPlan, needs
from carepost.protocols.imap.session import Selected, ToldExists, ToldExpunged, ToldFlags
from carepost.store.model import FolderView, MailboxRef, Outline
from carepost.wire.imap_search_keys import AllOf, AnyOf, HasFlag, InNumbers, LargerThan, Not, SearchKey
from carepost.wire.imap_sets import NumberSet


def folder(*outlines: Outline) -> Selected:
    view = FolderView(
        id=FolderId(1),
        mailbox=MailboxId(1),
        name="INBOX",
        special_use=None,
        uidvalidity=1,
        uidnext=1,
        highest_modseq=1,
        messages=len(outlines),
        unseen=0,
        octets=0,
        subscribed=True,
    )
    mailbox = MailboxRef(MailboxId(1), OrganisationId(1))
    return Selected(mailbox=mailbox, view=view, name="INBOX", outlines=outlines, read_only=False, shared=False)


class Believer:
    """A client: a list of UIDs (None while it has not asked) and flags, changed by what it is told and nothing else."""

    def __init__(self) -> None:
        self.flags: list[int | None] = []

    def hear(self, selected: Selected, *, expunges: bool) -> None:
        for told in selected.tell(expunges=expunges):
            match told:
                case ToldExpunged(sequence):
                    assert expunges
                    del self.flags[sequence - 1]
                case ToldExists(count):
                    assert count >= len(self.flags)
                    self.flags += [None] * (count - len(self.flags))
                case ToldFlags(sequence, _, flags, _, _):
                    self.flags[sequence - 1] = flags

    def fetch(self, selected: Selected) -> None:
        """FETCH 1:* FLAGS."""
        for at in selected.positions(NumberSet(((1, 0),)), uid=False):
            self.flags[at] = selected.flags[at]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 31)),
        st.tuples(st.just("flag"), st.integers(0, 30), st.integers(0, 31)),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("look")),
        st.tuples(st.just("tell"), st.booleans()),
        st.tuples(st.just("fetch")),
    ),
    max_size=40,
)


@given(STEPS)
def test_a_client_that_believes_what_it_is_told_ends_with_the_truth(steps: list[tuple[object, ...]]) -> None:
    truth: dict[int, Outline] = {}
    gone: list[tuple[int, int]] = []
    uidnext, modseq = 1, 1
    selected, client = folder(), Believer()

    def look() -> None:
        since = selected.synced
        changed = [outline for _, outline in sorted(truth.items()) if outline.modseq > since]
        selected.learn(changed, [uid for uid, at in gone if at > since], up_to=modseq)

    for step in [*steps, ("look",), ("tell", True), ("fetch",)]:
        match step:
            case ("add", int(flags)):
                modseq += 1
                truth[uidnext] = Outline(Uid(uidnext), flags, modseq, ())
                uidnext += 1
            case ("flag", int(which), int(flags)) if truth:
                modseq += 1
                uid = sorted(truth)[which % len(truth)]
                truth[uid] = Outline(Uid(uid), flags, modseq, ())
            case ("remove", int(which)) if truth:
                modseq += 1
                uid = sorted(truth)[which % len(truth)]
                del truth[uid]
                gone.append((uid, modseq))
            case ("look",):
                look()
            case ("tell", bool(expunges)):
                client.hear(selected, expunges=expunges)
            case ("fetch",):
                client.fetch(selected)
    assert list(selected.uids) == sorted(truth)
    assert client.flags == [truth[uid].flags for uid in sorted(truth)]


def test_a_sequence_number_keeps_its_meaning_until_the_client_is_told() -> None:
    selected = folder(*(Outline(Uid(uid), 0, 1, ()) for uid in (4, 7, 9)))
    selected.learn((), [7])
    assert selected.uids_at(selected.positions(NumberSet(((3, 3),)), uid=False)) == [9]
    assert selected.is_gone(7)
    assert selected.tell(expunges=False) == []
    assert selected.tell(expunges=True) == [ToldExpunged(2)]
    assert selected.uids_at(selected.positions(NumberSet(((2, 2),)), uid=False)) == [9]


def test_flags_that_the_client_set_itself_are_not_told_again() -> None:
    selected = folder(Outline(Uid(4), 0, 1, ()))
    selected.set_by_client(Outline(Uid(4), 1, 5, ()))
    selected.learn([Outline(Uid(4), 1, 5, ())])
    assert selected.tell(expunges=True) == []


def test_a_hundred_thousand_messages_cost_half_a_megabyte() -> None:
    selected = folder(*(Outline(Uid(uid), 1, 1, ()) for uid in range(1, 100_001)))
    octets = selected.uids.itemsize * len(selected.uids) + selected.flags.itemsize * len(selected.flags)
    assert octets == 500_000


# Patterns


def naive(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] in "*%":
        return naive(pattern[1:], name) or (
            bool(name) and (pattern[0] == "*" or name[0] != "/") and naive(pattern, name[1:])
        )
    return bool(name) and name[0] == pattern[0] and naive(pattern[1:], name[1:])


@given(st.text("ab/*%", max_size=7), st.text("ab/", max_size=7))
def test_a_pattern_matches_what_its_definition_says(pattern: str, name: str) -> None:
    assert matches(pattern, name) == naive(pattern, name)


# Searches

KEYS = st.recursive(
    st.one_of(
        st.sampled_from([HasFlag("\\Seen"), HasFlag("\\Flagged"), LargerThan(100), AllOf(())]),
        st.integers(1, 12).map(lambda number: InNumbers(NumberSet(((number, number),)), uid=True)),
    ),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=1, max_size=3).map(lambda keys: AnyOf(tuple(keys))),
        st.lists(inner, max_size=3).map(lambda keys: AllOf(tuple(keys))),
    ),
    max_leaves=8,
)


def holds(key: SearchKey, uid: int, flags: int, size: int) -> bool:
    match key:
        case HasFlag(flag):
            return bool(flags & {"\\Seen": 1, "\\Flagged": 4}[flag])
        case InNumbers(numbers):
            return numbers.has(uid, 10)
        case LargerThan(octets):
            return size > octets
        case Not(inner):
            return not holds(inner, uid, flags, size)
        case AnyOf(keys):
            return any(holds(inner, uid, flags, size) for inner in keys)
        case AllOf(keys):
            return all(holds(inner, uid, flags, size) for inner in keys)
        case _:
            raise AssertionError(key)


@given(KEYS, st.lists(st.tuples(st.integers(0, 7), st.sampled_from([50, 150])), max_size=10))
def test_a_plan_finds_what_the_question_means(key: SearchKey, messages: list[tuple[int, int]]) -> None:
    selected = folder(*(Outline(Uid(at + 1), flags, 1, ()) for at, (flags, _) in enumerate(messages)))
    plan = SearchPlan(key, selected)
    expected = [at for at, (flags, size) in enumerate(messages) if holds(key, at + 1, flags, size)]
    if needs(key) is Needs.NOTHING:
        assert plan.undecided() == []
    looked_at = plan.undecided()
    assert not set(plan.found()) - set(expected)
    for at in looked_at:
        for leaf in plan.leaves(Needs.ROW):
            plan.settle(leaf, at, holds=messages[at][1] > 100)
    assert plan.undecided() == []
    assert plan.found() == expected
