"""Chores: one organisation's trouble is not another's."""

from types import SimpleNamespace
from typing import cast

from carepost.app.areas import Areas
from carepost.app.chores import Chores
from carepost.base.errors import Broken, TryLater
from carepost.base.ids import OrganisationId


async def test_a_chore_that_fails_in_one_organisation_is_done_in_the_next() -> None:
    done: list[tuple[str, int]] = []

    async def organisations() -> list[SimpleNamespace]:
        return [SimpleNamespace(id=OrganisationId(number)) for number in (1, 2, 3)]

    async def expire(_actor: object, organisation: OrganisationId) -> None:
        done.append(("expire", organisation))
        raise {1: ValueError("a row nobody expected"), 2: Broken("damaged"), 3: TryLater("later")}[organisation]

    async def forget(organisation: OrganisationId) -> None:
        done.append(("forget", organisation))

    async def purge(organisation: OrganisationId, **_rest: object) -> None:
        done.append(("purge", organisation))

    areas = SimpleNamespace(
        organisations=organisations,
        gateway=SimpleNamespace(quarantine=SimpleNamespace(expire=expire), trace=SimpleNamespace(forget=forget)),
        store=SimpleNamespace(upkeep=SimpleNamespace(purge_bodies=purge, fold_indexes=forget)),
    )
    await Chores(cast("Areas", areas)).turn()
    assert [what for what in done if what[0] == "expire"] == [("expire", 1), ("expire", 2), ("expire", 3)]
    assert len(done) == 12
