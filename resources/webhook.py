"""The one webhook that alerts go to, as a Dagster resource: Slack's incoming webhook, or whatever
takes the same JSON.

Its URL is a secret: who has it can write there. So no error, log or record contains it, not even
in part; what ``requests`` and ``urllib3`` say of a failure does, and is never passed on.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

import dagster as dg
from pydantic import Field
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from resources.settings import SettingsError

VARIABLE = "ALERT_WEBHOOK_URL"
_TIMEOUTS = (3, 5)
"""Seconds to connect, and to wait for an answer. Three tries end well within the minute that
Dagster gives a sensor."""


class AlertError(Exception):
    """The webhook did not take a message; the text says why, without the URL."""


class AlertUnavailableError(AlertError):
    """It did not answer, or said that it cannot now: worth another try."""


class AlertWebhook(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where alerts go; without a URL, nowhere."""

    url: str = Field("", repr=False)

    @classmethod
    def configured(cls) -> Self:
        """The webhook that the environment names, looked up when a message is sent. Raises
        ``SettingsError`` where it cannot be one."""
        url = os.environ.get(VARIABLE, "").strip()
        if not url:
            return cls(url="")
        if problem := _problem(url):
            raise SettingsError(f"{VARIABLE} {problem} (.env.example describes every variable)")
        return cls(url=dg.EnvVar(VARIABLE))

    @property
    def is_off(self) -> bool:
        return not self.url

    def send(self, text: str) -> None:
        """Post ``text``; return once it was taken. Raises ``AlertError``."""
        if problem := _problem(self.url):
            raise AlertError(f"{VARIABLE} {problem}")
        self._post(text)

    @retry(
        retry=retry_if_exception_type(AlertUnavailableError),
        stop=stop_after_attempt(3),
        wait=wait_exponential_jitter(initial=1, max=5),
        reraise=True,
    )
    def _post(self, text: str) -> None:
        import requests

        try:
            with (
                _urllib3_kept_quiet(),
                requests.post(
                    self.url,
                    json={"text": text},
                    timeout=_TIMEOUTS,
                    # Where to is said once; it is not handed on to whoever answers.
                    allow_redirects=False,
                    # The answer's body says nothing we need.
                    stream=True,
                ) as response,
            ):
                status = response.status_code
        except requests.exceptions.SSLError:
            raise AlertError(
                f"{VARIABLE}: the server's certificate is not one this machine trusts"
            ) from None
        except requests.RequestException as error:
            what = type(error).__name__
            raise AlertUnavailableError(f"{VARIABLE} cannot be reached: {what}") from None
        if status == 429 or status >= 500:
            raise AlertUnavailableError(f"{VARIABLE} answered HTTP {status}")
        if not 200 <= status < 300:
            raise AlertError(f"{VARIABLE} answered HTTP {status}; check that it is the right one")


def _problem(url: str) -> str:
    """Why ``url`` is none to send alerts to; empty if it is one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "must be a URL that begins with https://"
    if parts.scheme == "http" and host not in ("127.0.0.1", "localhost", "::1"):
        return "must begin with https:// (http:// only to this machine)"
    return ""


@contextmanager
def _urllib3_kept_quiet() -> Iterator[None]:
    """urllib3 logs paths of URLs, which here are the secret."""
    ours = threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return record.thread != ours

    loggers = [logging.getLogger(f"urllib3.{name}") for name in ("connectionpool", "connection")]
    for logger in loggers:
        logger.addFilter(others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(others)
