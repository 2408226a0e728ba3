"""Where the client's endpoint, region and keys come from."""

from __future__ import annotations

import pytest

from retraining.errors import StoreError
from retraining.store.cloud.settings import read_settings

CREDENTIALS = """
[default]
aws_access_key_id = default-key
aws_secret_access_key = verysecret

[team]
aws_access_key_id = team-key
aws_secret_access_key = verysecret2
aws_session_token = verysecret3
"""
CONFIG = """
[default]
region = eu-west-1

[profile team]
region = eu-central-1
endpoint_url = https://s3.example.org

[profile single]
sso_session = work
region = eu-central-1
"""


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(CREDENTIALS)
    (folder / "config").write_text(CONFIG)
    return tmp_path


def test_without_variables_and_files_nothing_is_set(tmp_path):
    for scheme in ("s3", "gs", "az"):
        settings = read_settings(scheme, {}, tmp_path)
        assert (settings.endpoint, settings.allow_http, settings.options) == ("", False, {})


def test_keys_and_region_come_from_the_files_of_the_aws_command_line(home):
    assert read_settings("s3", {}, home).options == {
        "region": "eu-west-1",
        "access_key_id": "default-key",
        "secret_access_key": "verysecret",
    }
    team = read_settings("s3", {"AWS_PROFILE": "team"}, home)
    assert team.endpoint == "https://s3.example.org"
    assert team.options["session_token"] == "verysecret3"
    assert team.options["region"] == "eu-central-1"
    moved = {"AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials"), "AWS_CONFIG_FILE": "/nowhere"}
    assert read_settings("s3", moved, home / "empty").options["access_key_id"] == "default-key"


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
)
def test_variables_are_stronger_than_files(home, name):
    environment = {name: "given", "AWS_DEFAULT_REGION": "us-west-2", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    settings = read_settings("s3", {**environment, "AWS_PROFILE": "team"}, home)
    assert settings.options == {"endpoint": "http://127.0.0.1:1"}
    assert settings.allow_http


def test_the_service_s_own_endpoint_is_stronger_than_the_common_one(tmp_path):
    environment = {"AWS_ENDPOINT_URL": "https://one", "AWS_ENDPOINT_URL_S3": "https://two"}
    settings = read_settings("s3", environment, tmp_path)
    assert (settings.endpoint, settings.allow_http) == ("https://two", False)


def test_a_plain_http_endpoint_is_used_only_where_it_was_written(tmp_path):
    assert read_settings("gs", {"GOOGLE_BASE_URL": "http://127.0.0.1:4443"}, tmp_path).allow_http
    assert read_settings("az", {"AZURE_STORAGE_USE_EMULATOR": "true"}, tmp_path).allow_http
    assert not read_settings("az", {"AZURE_ENDPOINT": "https://a.example.org"}, tmp_path).allow_http


def test_a_profile_that_borrows_its_keys_says_how_to_export_them(home):
    with pytest.raises(StoreError, match="'single' has no keys of its own but sso_session") as caught:
        read_settings("s3", {"AWS_PROFILE": "single"}, home)
    assert "export-credentials" in caught.value.next_step


def test_a_profile_that_is_not_there_is_named(home):
    with pytest.raises(StoreError, match="no AWS profile 'other'"):
        read_settings("s3", {"AWS_PROFILE": "other"}, home)


def test_a_damaged_file_is_named_without_its_lines(home):
    (home / ".aws" / "credentials").write_text("aws_secret_access_key = verysecret\n")
    with pytest.raises(StoreError, match="credentials cannot be read") as caught:
        read_settings("s3", {}, home)
    assert "verysecret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_settings_do_not_show_their_options(home):
    assert "verysecret" not in repr(read_settings("s3", {}, home))
