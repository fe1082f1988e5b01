"""Settings: the environment, what is refused, and the generated page."""

from pathlib import Path

import pytest
import uvicorn
from pydantic import ValidationError

from orchestrator.__main__ import main
from orchestrator.settings import Settings


def test_the_environment_is_read_with_our_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_PORT", "9000")
    monkeypatch.setenv("TRIPTYCH_CORS_ORIGINS", "https://a.example, http://localhost:5173")
    monkeypatch.setenv("TRIPTYCH_LOG_FOLDER", "")
    settings = Settings()
    assert settings.port == 9000
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")
    assert settings.log_folder is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_loopback_no_key_is_needed_until_one_is_asked_for(host: str) -> None:
    assert not Settings(host=host).keys_are_needed
    assert Settings(host=host, require_keys=True).keys_are_needed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", ""])
def test_on_an_address_others_can_reach_a_key_is_needed(host: str) -> None:
    assert Settings(host=host).keys_are_needed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", ""])
def test_an_open_address_without_keys_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="refusing to listen"):
        Settings(host=host, require_keys=False)


def test_a_network_that_is_said_to_be_private_needs_no_key() -> None:
    assert not Settings(host="0.0.0.0", allow_unauthenticated_network=True).keys_are_needed


@pytest.mark.parametrize("origins", ["*", "https://a.example,*", "https://a.example/path", "null"])
def test_a_wildcard_or_odd_origin_is_refused(origins: str) -> None:
    with pytest.raises(ValidationError, match="not an origin"):
        Settings(cors_origins=origins)  # type: ignore[arg-type]


@pytest.mark.parametrize("hosts", ["*", "a.example:80", "http://a.example", "[::1]"])
def test_a_host_with_more_than_its_name_is_refused(hosts: str) -> None:
    with pytest.raises(ValidationError, match="not a host name"):
        Settings(allowed_hosts=hosts)  # type: ignore[arg-type]


def test_a_wrong_setting_is_one_line_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIPTYCH_PORT", "many")
    assert main() == 2
    assert capsys.readouterr().err.splitlines() == [
        "TRIPTYCH_PORT: Input should be a valid integer, unable to parse string as an integer"
    ]


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_folder_setting_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_LOG_FOLDER", "logs")
    assert Settings().log_folder == Path("logs")


def test_the_description_is_made_before_anybody_is_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It takes a fifth of a second, in which nobody else would be answered."""
    served: list[object] = []

    class Served:
        started = True

        def __init__(self, config: uvicorn.Config) -> None:
            served.append(config.app.openapi_schema)  # type: ignore[union-attr]

        def run(self) -> None:
            """Serves nobody."""

    monkeypatch.setenv("TRIPTYCH_STATE_FOLDER", str(tmp_path))
    monkeypatch.setattr("orchestrator.__main__.Server", Served)
    monkeypatch.setattr("orchestrator.__main__.configure_logging", lambda _settings: None)
    assert main() == 0
    assert served[0] is not None
