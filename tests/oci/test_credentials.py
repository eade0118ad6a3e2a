import base64
import json
from pathlib import Path

import pytest

from kubernaut.oci import Credential, DockerCredentials, RegistryUnauthorised


def config(folder: Path, **content: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(content))
    return path


async def test_docker_login_is_found_for_its_registry_only(tmp_path: Path) -> None:
    path = config(tmp_path, auths={"ghcr.io": {"auth": base64.b64encode(b"me:pa:ss").decode()}})
    credentials = DockerCredentials([tmp_path / "absent.json", path])
    assert await credentials.find("ghcr.io") == Credential("me", "pa:ss")
    assert await credentials.find("quay.io") is None


async def test_docker_hub_is_found_under_its_old_name(tmp_path: Path) -> None:
    auth = base64.b64encode(b"me:secret").decode()
    path = config(tmp_path, auths={"https://index.docker.io/v1/": {"auth": auth}})
    assert await DockerCredentials([path]).find("docker.io") == Credential("me", "secret")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('echo \'{"ServerURL":"","Username":"me","Secret":"s"}\'', Credential("me", "s")),
        ('echo \'{"Username":"<token>","Secret":"t"}\'', Credential(identity_token="t")),
        ("echo credentials not found in native keychain; exit 1", None),
    ],
)
async def test_a_credential_helper_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: Credential | None
) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f'#!/bin/sh\nread host; test "$1 $host" = "get ghcr.io" || exit 9\n{script}\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    path = config(tmp_path, credHelpers={"ghcr.io": "test"})
    assert await DockerCredentials([path]).find("ghcr.io") == expected


async def test_a_credential_helper_that_fails_is_named_without_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text("#!/bin/sh\ncat >/dev/null; echo half a secret; exit 3\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    path = config(tmp_path, credHelpers={"ghcr.io": "test", "quay.io": "absent"})
    with pytest.raises(RegistryUnauthorised, match="docker-credential-test") as caught:
        await DockerCredentials([path]).find("ghcr.io")
    assert "secret" not in str(caught.value)
    with pytest.raises(RegistryUnauthorised, match="docker-credential-absent"):
        await DockerCredentials([path]).find("quay.io")


async def test_a_broken_login_file_is_an_error_not_anonymity(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(RegistryUnauthorised, match="credentials from"):
        await DockerCredentials([path]).find("ghcr.io")


def test_passwords_do_not_show_in_representations() -> None:
    assert "hush" not in repr(Credential("me", "hush", "hush"))
