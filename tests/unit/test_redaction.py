import pytest

from resources.redaction import redacted

ENVIRONMENT = {
    "TIMESCALE_PASSWORD": "s3cr/et+pw",
    "KRX_PW": "hunter22",
    "KIS_APP_KEY": "PSa1b2c3",
    "ALERT_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
    "APP_DB_PASSWORD": "",
    "TIMESCALE_USER": "collector_user",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("password of s3cr/et+pw", "password of ***"),
        ("as s3cr%2Fet%2Bpw", "as ***"),
        ("hunter22, PSa1b2c3", "***, ***"),
        ("POST https://hooks.slack.com/services/T/B/x", "POST ***"),
        ("told by owner", "told by ***"),
        ("postgresql://collector_user:oops@db:5432/x", "postgresql://***@db:5432/x"),
        ("host=db password=oops user=me", "host=db password=*** user=me"),
        ("password='o o ps' user=me", "password=*** user=me"),
        ('{"api_key": "oops"}', '{"api_key": ***}'),
        (
            "password authentication failed for user collector_user",
            "password authentication failed for user collector_user",
        ),
    ],
)
def test_redacted(text, expected):
    assert redacted(text, ["owner"], ENVIRONMENT) == expected
