"""Nothing that looks like a secret leaves; what is harmless leaves as it is."""

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kubernaut.telemetry import REDACTED, Redactor, redact_json, redact_text

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJzeXN0ZW06c2EifQ.c2lnbmF0dXJl-_x"
B64 = "c3VwZXJzZWNyZXR2YWx1ZXRoYXRpc2xvbmdlbm91Z2g="
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"got {JWT} here", f"got {REDACTED} here"),
        (f"?access=%20{JWT}", f"?access=%20{REDACTED}"),
        (f"cut {JWT[:30]}", f"cut {REDACTED}"),
        (f"Authorization: Bearer {JWT}", f"Authorization: Bearer {REDACTED}"),
        ("authorization: Basic dXNlcjpw", f"authorization: Basic {REDACTED}"),
        ("-H 'Authorization: Bearer abc' http://x", f"-H 'Authorization: Bearer {REDACTED}' http://x"),
        ('{"Authorization": "Bearer abc"}', f'{{"Authorization": "Bearer {REDACTED}"}}'),
        ("Authorization: opaque-42\nHost: x", f"Authorization: {REDACTED}\nHost: x"),
        ("sent Bearer sha256~Abcdef123", f"sent Bearer {REDACTED}"),
        ("password=hunter2", f"password={REDACTED}"),
        ("DB_PASSWORD=hun,ter2 next", f"DB_PASSWORD={REDACTED} next"),
        ("passwd: hunter2, user: bob", f"passwd: {REDACTED}, user: bob"),
        ("pwd = 'a b c'", f"pwd = '{REDACTED}'"),
        ("a=1&api_key=xyz&b=2", f"a=1&api_key={REDACTED}&b=2"),
        ("apiKey: 'k' x-api-key: v", f"apiKey: '{REDACTED}' x-api-key: {REDACTED}"),
        ('{"token":"abc","n":1}', f'{{"token":"{REDACTED}","n":1}}'),
        ('{"password": "a\\"b\\\\", "x": 1}', f'{{"password": "{REDACTED}", "x": 1}}'),
        (r'"{\"password\":\"a\\\"b\",\"x\":1}"', rf'"{{\"password\":\"{REDACTED}\",\"x\":1}}"'),
        ('"pin_password": 1234}', f'"pin_password": {REDACTED}}}'),
        ("token: Bearer abc", f"token: {REDACTED}"),
        ("client_secret=[a, b] c", f"client_secret={REDACTED} c"),
        ("mysql --password hunter2 -h db", f"mysql --password {REDACTED} -h db"),
        ("login --db-token hunter2", f"login --db-token {REDACTED}"),
        ('auth="x" oauth=1', f'auth="{REDACTED}" oauth=1'),
        ("id AKIAIOSFODNN7EXAMPLE!", f"id {REDACTED}!"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7", f"aws_secret_access_key = {REDACTED}"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", REDACTED),
        ("postgres://me:p@ss@db:5432/x", f"postgres://me:{REDACTED}@db:5432/x"),
        ("redis://:pw@h", f"redis://:{REDACTED}@h"),
        ("Server=db;Password=abc;Database=d", f"Server=db;Password={REDACTED};Database=d"),
        ("https://0123456789abcdef0123@github.com/a", f"https://{REDACTED}@github.com/a"),
        (f"x\n{PEM}\ny", f"x\n{REDACTED}\ny"),
        (PEM[:50], REDACTED),
        (PEM.replace("\n", "\\n"), REDACTED),
        (f"key {B64} end", f"key {REDACTED} end"),
        (f"the secret is: {B64[:8]}", f"the secret is: {B64[:8]}"),
    ],
)
def test_secrets_are_taken_out_and_their_surroundings_left(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        'deployments.apps "payment-service" not found',
        "secretName: payment-tls",
        "tokenReviews: create",
        "token expired",
        "the password was rejected",
        "password: null, token=",
        "bearer authentication",
        "http://host:8080/path?x=1",
        "https://user@host/",
        "image ghcr.io/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "tokenExpirationSeconds: 3600",
        "passwordPolicy=strict",
        "2030-01-01T00:00:00.000Z step started step=a",
        "author=me, authority=x, monkey: banana",
    ],
)
def test_what_is_harmless_is_left_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_json_is_redacted_by_name_and_by_shape() -> None:
    value = {
        "password": "x",
        "dbPassword": 1234,
        "apiKey": ["a", {"b": "c"}],
        "note": f"used {JWT}",
        "automountServiceAccountToken": False,
        "token": None,
        "secretKeyRef": {"name": "db", "key": "password"},
        "volumes": [{"secret": {"secretName": "tls", "items": [{"key": "a", "path": "b"}]}}],
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "DB_PASSWORD", "value": "x"}, {"name": "LEVEL", "value": "info"}],
        "n": 3,
    }
    assert redact_json(value) == {
        "password": REDACTED,
        "dbPassword": REDACTED,
        "apiKey": [REDACTED, {"b": REDACTED}],
        "note": f"used {REDACTED}",
        "automountServiceAccountToken": False,
        "token": None,
        "secretKeyRef": {"name": "db", "key": "password"},
        "volumes": [{"secret": {"secretName": "tls", "items": [{"key": "a", "path": "b"}]}}],
        "imagePullSecrets": [{"name": "pull"}],
        "env": [{"name": "DB_PASSWORD", "value": REDACTED}, {"name": "LEVEL", "value": "info"}],
        "n": 3,
    }


def test_the_contents_of_a_secret_object_are_hidden_whatever_their_names() -> None:
    value = {"kind": "Secret", "metadata": {"name": "a"}, "data": {"x": "eA=="}}
    assert redact_json(value) == {
        "kind": "Secret",
        "metadata": {"name": "a"},
        "data": {"x": REDACTED},
    }


def test_the_original_is_not_touched() -> None:
    value = {"password": ["x"]}
    redact_json(value)
    assert value == {"password": ["x"]}


@pytest.mark.parametrize(
    "written",
    ['hun"ter 2ä', "aHVuInRlciAyw6Q=", 'hun\\"ter 2\\u00e4', "hun%22ter%202%C3%A4"],
)
def test_a_known_value_is_found_however_it_is_written(written: str) -> None:
    redactor = Redactor(['hun"ter 2ä'])
    assert redactor.text(f"<{written}>") == f"<{REDACTED}>"
    assert redactor.json({"a": [f"<{written}>"]}) == {"a": [f"<{REDACTED}>"]}


def test_each_line_of_a_known_value_is_secret_and_short_values_are_not_sought() -> None:
    redactor = Redactor(["first line\nsecond line", "abc", ""])
    assert redactor.text("a second line abc") == f"a {REDACTED} abc"
    redactor.add("later on")
    assert redactor.text("later on") == REDACTED


# Texts made of what the rules look for, so that they meet in every order.
PIECES = [
    "password", "token", "secret", "key", "api_key", "Authorization", "Bearer", "auth", "pwd",
    "=", ":", " ", '"', "'", "\\", '\\"', ",", ";", "&", "{", "}", "[", "]", "(", ")", "\n", "@",
    "://", "--", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "eyJ", ".", JWT, B64,
    "AKIAIOSFODNN7EXAMPLE", "hunter2", "Name", "null", REDACTED, "user", "a" * 40,
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text("aZ9_-+/.= \té", max_size=3), max_size=25).map("".join)


@given(texts)
@example("password=[REDACTED]x")
@example("token='")
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@given(texts, texts)
def test_a_token_or_private_key_never_survives_its_surroundings(before: str, after: str) -> None:
    redacted = redact_text(f"{before} {JWT} {after} {PEM} {before}")
    assert JWT not in redacted
    assert "MIIEow" not in redacted


@given(texts.filter(lambda text: "hunter2" not in text))
def test_the_value_after_a_secret_name_never_survives(noise: str) -> None:
    assert "Zq7-9x" not in redact_text(f"{noise}\npassword=Zq7-9x\n{noise}")
    assert "Zq7-9x" not in redact_text(json.dumps({"a": noise, "token": "Zq7-9x", "b": noise}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "password", "name", "value", "kind", "data"]), inner)
    ),
    max_leaves=8,
)


@given(json_values)
def test_redacting_json_twice_is_redacting_once(value: Any) -> None:
    once = redact_json(value)
    assert redact_json(once) == once


@pytest.mark.parametrize(
    "unit",
    [*PIECES, "password=", 'token:"', "eyJ", "://a:", "a://b:c", "secret ", '\\"', "-----BEGIN ",
     "password\\", "key'", "Bearer  ", "auth", "secret" * 3 + "name", "token" + " " * 20],
)  # fmt: skip
def test_time_grows_with_the_length_of_the_text_only(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * (length // len(unit) + 1))[:length]
        began = time.process_time()
        redact_text(text)
        return time.process_time() - began

    seconds(2_000)
    short = min(seconds(10_000) for _ in range(3))
    # Sixteen times the text; quadratic would be 256 times the time, each time. A busy machine is slow sometimes.
    assert any(seconds(160_000) < 60 * short + 0.02 for _ in range(5))
