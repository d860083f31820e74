"""queries.sql: the form, and what breaks it."""

import pytest

from carepost.infra.sql import BadQueries, load_queries, parse_queries

GOOD = """\
-- The statements of an area.

-- newest_first --
-- Take up to %(limit)s rows, newest first.
-- A second sentence.
SELECT id  -- the number
  FROM thing
 ORDER BY id DESC
 LIMIT %(limit)s;

-- count_them --
-- How many there are.
SELECT count(*) FROM thing
"""


def test_statements_are_found_by_name_without_their_sentences() -> None:
    queries = parse_queries(GOOD)
    assert list(queries) == ["newest_first", "count_them"]
    assert queries["newest_first"].startswith("SELECT id  -- the number\n  FROM thing")
    assert queries["newest_first"].endswith("LIMIT %(limit)s")
    assert queries["count_them"] == "SELECT count(*) FROM thing"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "\n-- count_them --\n-- Again.\nSELECT 1;\n", "two statements are called count_them"),
        ("-- bare --\nSELECT 1;\n", "bare has no sentence"),
        ("-- bare --\n--\nSELECT 1;\n", "bare has no sentence"),
        ("-- empty --\n-- Says something.\n", "empty has no statement"),
        ("SELECT 1;\n-- late --\n-- Says something.\nSELECT 2;\n", "before the first name"),
    ],
)
def test_a_file_that_breaks_the_form_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadQueries, match=says):
        parse_queries(text)


def test_the_mapping_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        parse_queries(GOOD)["count_them"] = "DROP TABLE thing"  # type: ignore[index]


def test_our_own_files_are_read_from_the_package() -> None:
    assert "policies" in load_queries("carepost.infra", "catalogue.sql")
