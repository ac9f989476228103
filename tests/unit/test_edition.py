import pytest

from resources.edition import Edition, Server, UnsupportedServerError, supported


@pytest.mark.parametrize(
    ("licence", "edition"), [("apache", Edition.APACHE), ("timescale", Edition.COMMUNITY)]
)
def test_a_server_says_what_it_is(licence, edition):
    server = supported("17.12", 17, "2.29.2", licence)
    assert server == Server(edition, "2.29.2", "17.12")
    assert str(server) == f"TimescaleDB 2.29.2 {edition} on PostgreSQL 17.12"


def test_the_oldest_that_will_do():
    assert supported("15.0", 15, "2.18.0", "apache").timescaledb == "2.18.0"


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (("14.9", 14, "2.18.0", "apache"), "the server is PostgreSQL 14.9; 15 or newer is needed"),
        (("17.2", 17, None, None), "no extension timescaledb: run sql/bootstrap/timescaledb.sql"),
        (("17.2", 17, "2.17.2", "timescale"), "has TimescaleDB 2.17.2; 2.18 or newer is needed"),
        (("17.2", 17, "2.9.0", "timescale"), "has TimescaleDB 2.9.0; 2.18 or newer"),
        (("17.2", 17, "2.20.0", None), "timescaledb.license = None; apache or timescale"),
    ],
)
def test_what_will_not_do_is_one_clear_line(server, says):
    with pytest.raises(UnsupportedServerError) as error:
        supported(*server)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
