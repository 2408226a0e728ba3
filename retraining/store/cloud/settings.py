"""What a client of a bucket must know beside the address: endpoint, region, credentials.

They come from the cloud's own environment variables, which the client library reads by itself, and
for S3 also from the two files of the AWS command line, which it does not. Nothing else in the
program sees a credential: it goes from here into the client.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retraining.errors import StoreError
from retraining.store.cloud.addresses import Scheme

__all__ = ["Settings", "read_settings"]

# Each says where credentials come from without a file of the AWS command line.
_OTHER_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_BORROWED = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")
_ENDPOINTS: Mapping[Scheme, tuple[str, ...]] = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the client library; `endpoint` is empty for the cloud's own. Its text hides `options`."""

    endpoint: str
    allow_http: bool
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_settings(scheme: Scheme, environment: Mapping[str, str], home: Path) -> Settings:
    """The settings that the environment and the files in `home` give; StoreError for a profile without keys.

    Variables are stronger than files. A plain http: endpoint is used where it was written so.
    """
    profile = _read_profile(environment, home) if scheme == "s3" else {}
    found = [environment[name] for name in _ENDPOINTS[scheme] if environment.get(name)]
    endpoint = found[0] if found else profile.get("endpoint_url", "")
    emulator = scheme == "az" and environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in _YES
    options: dict[str, str] = {}
    if endpoint:
        options[{"s3": "endpoint", "gs": "base_url", "az": "endpoint"}[scheme]] = endpoint
    if scheme == "s3":
        options |= _s3_options(environment, profile)
    return Settings(
        endpoint=endpoint, allow_http=emulator or endpoint.lower().startswith("http://"), options=options
    )


def _s3_options(environment: Mapping[str, str], profile: Mapping[str, str]) -> dict[str, str]:
    options = {}
    if not (environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")) and "region" in profile:
        options["region"] = profile["region"]
    if any(environment.get(name) for name in _OTHER_SOURCES):
        return options
    for name, key in (
        ("access_key_id", "aws_access_key_id"),
        ("secret_access_key", "aws_secret_access_key"),
        ("session_token", "aws_session_token"),
    ):
        if profile.get(key):
            options[name] = profile[key]
    borrowed = [name for name in _BORROWED if name in profile]
    if borrowed and "access_key_id" not in options:
        raise StoreError(
            f"the AWS profile {_profile_name(environment)!r} has no keys of its own but {borrowed[0]}, "
            "which this program does not follow",
            'put temporary keys into the environment: eval "$(aws configure export-credentials --format env)"',
        )
    return options


def _read_profile(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What the two files of the AWS command line say of the chosen profile, the credentials file first."""
    name = _profile_name(environment)
    config = Path(environment.get("AWS_CONFIG_FILE") or home / ".aws" / "config")
    credentials = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials")
    section = name if name == "default" else f"profile {name}"
    found = _section(config, section) or {}
    own = _section(credentials, name)
    if own is None and not found and environment.get("AWS_PROFILE"):
        raise StoreError(
            f"there is no AWS profile {name!r} in {credentials} or {config}",
            "set AWS_PROFILE to one that is there, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    return {**found, **(own or {})}


def _profile_name(environment: Mapping[str, str]) -> str:
    return environment.get("AWS_PROFILE") or "default"


def _section(path: Path, name: str) -> dict[str, str] | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.expanduser().read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        # the parser's own words repeat lines of the file, which may hold keys
        raise StoreError(
            f"{path} cannot be read ({type(error).__name__})", "mend this file of the AWS command line"
        ) from None
    return dict(parser[name]) if parser.has_section(name) else None
