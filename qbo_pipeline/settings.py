"""How this process is configured: the only reader of the environment.

Values come from the process environment, else from ``.env`` in the working directory, else from their defaults.
Everything is optional: without ``DATABASE_URL`` an embedded Postgres is used, and without ``QBO_ENVIRONMENT`` only a
local QuickBooks is talked to, so nothing leaves the machine until somebody says so.
"""

from __future__ import annotations

import json
import os
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from qbo_pipeline.errors import SettingsError
from qbo_pipeline.secret import Secret

EnvironmentName = Literal["local", "sandbox", "production"]
TokenStorage = Literal["plain", "encrypted"]

_LOCAL_URL = re.compile(r"https?://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?/?")
#: Where the web app listens when the redirect address is not on this machine: behind a reverse proxy.
_WEB_PORT = 8500

#: File in the state folder where ``qbo up`` and ``qbo demo`` note the addresses of what they started.
_SERVICES = "services.json"


#: For every process that runs Dagster: a first load reports every table for every month, thousands of events, which
#: Dagster would write one by one.
EVENT_BATCHES = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, with the environment variable it comes from and what it is for (shown in the README)."""

    database_url: Annotated[str | None, "DATABASE_URL", "Postgres to load into; unset: an embedded one is started"] = (
        None
    )
    dagster_database_url: Annotated[
        str | None, "DAGSTER_PG_URL", "Postgres for Dagster's own storage; unset: database `dagster` beside the books"
    ] = None
    environment: Annotated[
        EnvironmentName, "QBO_ENVIRONMENT", "which QuickBooks: `local` (the built-in one), `sandbox` or `production`"
    ] = "local"
    local_url: Annotated[str | None, "QBO_LOCAL_URL", "base URL of a local QuickBooks, loopback only"] = None
    client_id: Annotated[str | None, "QBO_CLIENT_ID", "client id of your Intuit app"] = None
    client_secret: Annotated[Secret | None, "QBO_CLIENT_SECRET", "client secret of your Intuit app"] = None
    auth_basic: Annotated[
        Secret | None, "QBO_AUTH_BASIC", "`client_id:client_secret` in base64, instead of the two above"
    ] = None
    redirect_uri: Annotated[
        str, "QBO_REDIRECT_URI", "where Intuit sends people back to after consent; must be registered with your app"
    ] = "http://localhost:8500/callback"
    token_key: Annotated[
        Secret | None, "QBO_TOKEN_KEY", "keys that seal stored tokens (`openssl rand -base64 32`), the newest first"
    ] = None
    token_key_file: Annotated[
        Path | None, "QBO_TOKEN_KEY_FILE", "file with those keys; unset: `token.key` in the state folder, made once"
    ] = None
    token_storage: Annotated[
        TokenStorage, "QBO_TOKEN_STORAGE", "`plain`: other programs may read access tokens; `encrypted`: sealed as well"
    ] = "plain"  # noqa: S105 - a way, not a token
    installation: Annotated[
        str | None, "QBO_INSTALLATION", "name of this installation; unset: one is made once in the state folder"
    ] = None
    webhook_verifier_token: Annotated[
        Secret | None,
        "QBO_WEBHOOK_VERIFIER_TOKEN",
        "verifier token of your app's webhooks; two, the newest first, while one is being replaced",
    ] = None
    alert_webhook_url: Annotated[
        Secret | None, "QBO_ALERT_WEBHOOK_URL", "address that is told of failed runs, as Slack's incoming webhooks are"
    ] = None
    monthly_call_budget: Annotated[
        int, "QBO_MONTHLY_CALL_BUDGET", "QuickBooks API calls a month, all companies; beyond it syncs are daily"
    ] = 500_000
    state_dir: Annotated[Path, "QBO_STATE_DIR", "folder for the embedded database and what was started"] = Path(".qbo")

    def __repr__(self) -> str:
        """Leave out everything that may be secret."""
        return f"Settings(environment={self.environment!r}, state_dir={str(self.state_dir)!r})"

    @property
    def redirects_here(self) -> bool:
        """Tell whether QuickBooks sends people back to this machine itself, with no reverse proxy between."""
        return urlsplit(self.redirect_uri).hostname in ("localhost", "127.0.0.1")

    @property
    def web_port(self) -> int:
        """Port of 127.0.0.1 at which an answer to the redirect address arrives."""
        return (urlsplit(self.redirect_uri).port or 80) if self.redirects_here else _WEB_PORT

    @property
    def token_key_path(self) -> Path:
        """File of the keys that seal tokens, when they are not in the environment."""
        return self.token_key_file or self.state_dir / "token.key"

    @property
    def webhook_verifier_tokens(self) -> tuple[Secret, ...]:
        """Return the tokens a notification may be signed with; none means that nothing is believed."""
        given = self.webhook_verifier_token
        if given is None:
            return (Secret("sandbox-verifier"),) if self.environment == "local" else ()
        return tuple(Secret(word) for word in given.reveal().replace(",", " ").split())

    @property
    def credentials(self) -> tuple[str, str]:
        """Return client id and secret.

        Raises SettingsError when they are not set and the environment is a real one.
        """
        if self.auth_basic:
            return _decoded_basic(self.auth_basic)
        if self.client_id and self.client_secret:
            return self.client_id, Secret(self.client_secret)
        if self.environment == "local":
            return self.client_id or "sandbox-client", self.client_secret or "sandbox-secret"
        raise SettingsError(
            "The Intuit app's credentials are missing: set QBO_CLIENT_ID and QBO_CLIENT_SECRET "
            f"(from developer.intuit.com, keys of the {self.environment} environment)."
        )


def variables() -> dict[str, tuple[str, str, str]]:
    """Return every setting's field -> (environment variable, default as text, what it is for)."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    answer = {}
    for field in msgspec.structs.fields(Settings):
        variable, about = hints[field.name].__metadata__
        answer[field.name] = (variable, "" if field.default is None else str(field.default), about)
    return answer


def load_settings(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the settings from ``environ`` (by default the process's) over ``.env`` in ``folder`` (the working one).

    Raises SettingsError naming the variable that is wrong.
    """
    folder = folder or Path.cwd()
    given = {**_dotenv(folder / ".env"), **(os.environ if environ is None else environ)}
    values = {
        field: given[variable].strip()
        for field, (variable, _, _) in variables().items()
        if given.get(variable, "").strip()
    }
    for field, value in values.items():
        try:
            msgspec.convert({field: value}, Settings, strict=False, dec_hook=_made)
        except msgspec.ValidationError as error:
            kind = typing.get_type_hints(Settings)[field]
            choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
            wanted = f"one of {', '.join(choices)}" if choices else str(error).split(" - at ")[0]
            wanted = "a whole number" if kind is int else wanted
            raise SettingsError(f"{variables()[field][0]} is {value!r}; it must be {wanted}.") from None
    settings = msgspec.convert(values, Settings, strict=False, dec_hook=_made)
    if settings.monthly_call_budget < 1:
        raise SettingsError(f"QBO_MONTHLY_CALL_BUDGET is {settings.monthly_call_budget}; it must be at least 1.")
    if len(settings.webhook_verifier_tokens) > 2:
        raise SettingsError("QBO_WEBHOOK_VERIFIER_TOKEN may hold two tokens at most, the newest first: new,old.")
    _check_addresses(settings)
    state_dir = folder / settings.state_dir
    key_file = folder / settings.token_key_file if settings.token_key_file else None
    settings = msgspec.structs.replace(settings, state_dir=state_dir, token_key_file=key_file)
    if settings.environment == "local" and settings.local_url is None:
        settings = msgspec.structs.replace(settings, local_url=services(state_dir).get("quickbooks"))
    return settings


def _check_addresses(settings: Settings) -> None:
    """Raise SettingsError for an address nothing could be done with; the text never quotes what may be secret."""
    if settings.local_url is not None and not _LOCAL_URL.fullmatch(settings.local_url):
        raise SettingsError(
            f"QBO_LOCAL_URL is {settings.local_url[:100]!r}; it must be an address on this machine like "
            "http://127.0.0.1:8700."
        )
    alert = settings.alert_webhook_url
    if alert is not None and not (alert.startswith("https://") or _LOCAL_URL.match(alert)):
        raise SettingsError("QBO_ALERT_WEBHOOK_URL must be an https:// address.")
    try:
        parts = urlsplit(settings.redirect_uri)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.fragment
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            f"QBO_REDIRECT_URI is {settings.redirect_uri[:100]!r}; it must be an address like "
            "http://localhost:8500/callback, exactly as registered with your Intuit app."
        )


def services(state_dir: Path) -> dict[str, str]:
    """Return the addresses that were noted by ``note_service``: name -> URL."""
    try:
        noted = json.loads((state_dir / _SERVICES).read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def note_service(state_dir: Path, name: str, url: str) -> None:
    """Note where a local service answers, so that other commands of this project find it."""
    state_dir.mkdir(parents=True, exist_ok=True)
    _write_services(state_dir, {**services(state_dir), name: url})


def forget_service(state_dir: Path, name: str, url: str) -> None:
    """Forget a service that has stopped, unless another has been noted in its place."""
    noted = services(state_dir)
    if noted.pop(name, None) == url:
        _write_services(state_dir, noted)


def _write_services(state_dir: Path, noted: Mapping[str, str]) -> None:
    temporary = state_dir / f"{_SERVICES}.{os.getpid()}"
    temporary.write_text(json.dumps(noted, indent=2) + "\n")
    temporary.replace(state_dir / _SERVICES)


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {key: value for key, value in dotenv_values(path).items() if value is not None}
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not a text file in UTF-8: write it again from .env.example.") from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {str(error.strerror).lower()}.") from None


def _decoded_basic(basic: str) -> tuple[str, str]:
    import base64
    import binascii

    try:
        client_id, _, secret = (
            base64.b64decode(basic.removeprefix("Basic ").strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        client_id = secret = ""
    if not client_id or not secret:
        raise SettingsError("QBO_AUTH_BASIC must be 'client_id:client_secret' in base64.")
    return client_id, Secret(secret)


def _made(kind: type, value: object) -> object:
    if kind is Secret:
        return Secret(str(value))
    if kind is Path:
        try:
            return Path(str(value)).expanduser()
        except RuntimeError:
            raise ValueError("a path, and that account has no home folder") from None
    raise NotImplementedError(kind)
