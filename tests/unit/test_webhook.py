"""What is posted, what is tried again, and that the URL stays a secret."""

import logging
import ssl
import traceback

import pytest
import trustme
from tenacity import wait_none

from embedded.processes import is_free
from resources import webhook
from resources.settings import SettingsError
from resources.webhook import AlertError, AlertWebhook
from tests.conftest import free_ports
from tests.receiver import PATH, receiving

SECRETS = ("T0SECRET", "B0SECRET", "x7Jq9secret", "/services")


@pytest.fixture(autouse=True)
def impatient(monkeypatch, caplog):
    monkeypatch.setattr(AlertWebhook._post.retry, "wait", wait_none())
    monkeypatch.setattr(webhook, "_TIMEOUTS", (0.5, 0.5))
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def error_of(url: str) -> str:
    """The error's text; nothing that could be shown of it contains the URL."""
    with pytest.raises(AlertError) as raised:
        AlertWebhook(url=url).send("text")
    shown = "".join(traceback.format_exception(raised.value))
    assert not any(secret in shown for secret in SECRETS)
    return str(raised.value)


def test_a_text_is_posted_as_slack_has_it(receiver):
    AlertWebhook(url=receiver.url).send("삼성전자 <http://ui/runs/1|run 1>")
    assert receiver.posts == [{"text": "삼성전자 <http://ui/runs/1|run 1>"}]


@pytest.mark.parametrize("answers", [[500, 429], [503, 0]])
def test_what_another_try_may_mend_is_tried_three_times(receiver, answers):
    receiver.answers = list(answers)
    AlertWebhook(url=receiver.url).send("text")
    assert receiver.texts == ["text"] * 3


def test_a_server_that_fails_or_hangs_is_given_up(receiver):
    receiver.answers = [500] * 3
    assert error_of(receiver.url) == "ALERT_WEBHOOK_URL answered HTTP 500"
    receiver.answers = [0] * 3
    assert error_of(receiver.url) == "ALERT_WEBHOOK_URL cannot be reached: ReadTimeout"
    assert len(receiver.posts) == 6


def test_nobody_there():
    (port,) = free_ports(1)
    assert is_free(port)
    said = error_of(f"http://127.0.0.1:{port}{PATH}")
    assert said == "ALERT_WEBHOOK_URL cannot be reached: ConnectionError"


@pytest.mark.parametrize("status", [302, 404])
def test_an_answer_that_stays_the_same_is_not_asked_for_again(receiver, status):
    receiver.answers = [status]
    said = error_of(receiver.url)
    assert said == f"ALERT_WEBHOOK_URL answered HTTP {status}; check that it is the right one"
    assert len(receiver.posts) == 1


def test_the_url_is_in_no_log(receiver, caplog):
    receiver.answers = [500, 0]
    AlertWebhook(url=receiver.url).send("text")
    assert not any(secret in caplog.text for secret in SECRETS)
    assert "SECRET" not in repr(AlertWebhook(url=receiver.url))
    logging.getLogger("urllib3.connectionpool").debug("others may speak again")
    assert "others may speak again" in caplog.text


def test_the_certificate_is_verified(monkeypatch, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with receiving(context) as receiver:
        said = error_of(receiver.url)
        assert said == "ALERT_WEBHOOK_URL: the server's certificate is not one this machine trusts"
        assert receiver.posts == []
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        AlertWebhook(url=receiver.url).send("text")
        assert receiver.texts == ["text"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("hooks.slack.com/services/T0SECRET", "must be a URL that begins with https://"),
        ("ftp://hooks.slack.com/services/T0SECRET", "must be a URL that begins with https://"),
        ("https:///services/T0SECRET", "must be a URL that begins with https://"),
        ("https://host:port/services/T0SECRET", "is no URL"),
        (
            "http://hooks.slack.com/services/T0SECRET",
            "must begin with https:// (http:// only to this machine)",
        ),
    ],
)
def test_a_wrong_url_is_refused_at_the_start_and_not_shown(monkeypatch, url, problem):
    monkeypatch.setenv("ALERT_WEBHOOK_URL", url)
    with pytest.raises(SettingsError) as raised:
        AlertWebhook.configured()
    assert str(raised.value).startswith(f"ALERT_WEBHOOK_URL {problem} (")
    assert error_of(url) == f"ALERT_WEBHOOK_URL {problem}"


def test_it_is_configured_by_the_name_of_its_variable(monkeypatch):
    """Dagster shows a resource's configuration in its UI."""
    monkeypatch.setenv("ALERT_WEBHOOK_URL", f"https://hooks.slack.com{PATH}")
    assert "SECRET" not in str(vars(AlertWebhook.configured()))
    monkeypatch.setenv("ALERT_WEBHOOK_URL", " ")
    assert AlertWebhook.configured().is_off
