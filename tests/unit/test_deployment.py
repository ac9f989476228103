"""What the deployment of aggregates decides from what a database holds."""

from dataclasses import replace

import pytest

import resources.deployment
from resources.aggregates import AGGREGATES, CANDLES_5M, VOLUME_PROFILE
from resources.deployment import DeploymentError, Relation, changes, fingerprint
from resources.edition import Edition


def in_place(edition: Edition) -> dict[str, Relation]:
    return {
        aggregate.name: Relation(
            edition, f"what it is (definition {fingerprint(aggregate, edition)})"
        )
        for aggregate in AGGREGATES
    }


@pytest.mark.parametrize("edition", Edition)
def test_what_is_in_place_stays(edition):
    assert changes(edition, in_place(edition)) == {}


@pytest.mark.parametrize("edition", Edition)
def test_an_empty_database_gets_all_of_them_sources_first(edition):
    assert list(changes(edition, {}).items()) == [
        ("candles_5m", "new"),
        ("daily_candles", "new"),
        ("volume_profile", "new"),
    ]


def test_what_reads_a_changed_one_is_made_anew_with_it():
    found = in_place(Edition.APACHE)
    found["candles_5m"] = Relation(Edition.APACHE, "older (definition 0123456789ab)")
    assert changes(Edition.APACHE, found) == {
        "candles_5m": "its definition changed",
        "daily_candles": "candles_5m, which it reads, is made anew",
    }


@pytest.mark.parametrize(
    ("was", "now"),
    [(Edition.APACHE, Edition.COMMUNITY), (Edition.COMMUNITY, Edition.APACHE)],
)
def test_another_edition_makes_all_anew(was, now):
    reasons = changes(now, in_place(was))
    assert reasons == {
        aggregate.name: f"the server is now the {now} edition" for aggregate in AGGREGATES
    }


@pytest.mark.parametrize(
    "relation",
    [
        Relation(None, "a view of ours (definition 0123456789ab)"),
        Relation(Edition.APACHE, ""),
        Relation(Edition.COMMUNITY, "daily candles, by somebody else"),
    ],
)
def test_what_we_did_not_make_is_refused(relation):
    found = in_place(Edition.APACHE) | {"daily_candles": relation}
    with pytest.raises(DeploymentError, match="there is a daily_candles already"):
        changes(Edition.APACHE, found)


class TestFingerprint:
    @pytest.fixture
    def with_definition(self, monkeypatch):
        """The fingerprint of volume_profile with another text of its definition."""

        def with_definition(text: str) -> str:
            class Other(type(VOLUME_PROFILE)):
                definition = text

            fields = {name: getattr(VOLUME_PROFILE, name) for name in VOLUME_PROFILE.__match_args__}
            return fingerprint(Other(**fields), Edition.APACHE)

        return with_definition

    def test_comments_and_layout_do_not_count(self, with_definition):
        text = VOLUME_PROFILE.definition
        same = fingerprint(VOLUME_PROFILE, Edition.APACHE)
        assert with_definition(f"-- another comment\n{text}  \n") == same
        assert with_definition(text.replace("\n    ", "\n  ")) == same

    def test_all_else_does(self, with_definition, monkeypatch):
        prints = {
            fingerprint(VOLUME_PROFILE, Edition.APACHE),
            fingerprint(VOLUME_PROFILE, Edition.COMMUNITY),
            fingerprint(CANDLES_5M, Edition.APACHE),
            fingerprint(replace(VOLUME_PROFILE, chunk_days=7), Edition.APACHE),
            fingerprint(replace(VOLUME_PROFILE, key=("bucket", "symbol")), Edition.APACHE),
            with_definition(VOLUME_PROFILE.definition.replace("30 minutes", "10 minutes")),
        }
        original = resources.deployment.statement
        monkeypatch.setattr(
            resources.deployment, "statement", lambda name: original(name) + "ANALYZE;"
        )
        prints.add(fingerprint(VOLUME_PROFILE, Edition.APACHE))
        assert len(prints) == 7
