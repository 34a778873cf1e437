"""Secrets in command lines and URIs."""

import pytest

from cktf.credentials import masked, require_no_secret
from cktf.errors import InputError
from cktf.storage import Storage

SECRET = "hunter2SECRETvalue"  # noqa: S105


@pytest.mark.parametrize(
    "text",
    [
        f"s3://AKIAKEY:{SECRET}@bucket/run",
        f"s3://{SECRET}@bucket/run",
        f"s3://AKIAKEY:{SECRET}/with/slashes+=@bucket/run",
        f"gs://user:{SECRET}@bucket/run",
        f"abfs://container:{SECRET}@account.dfs.core.windows.net/run",
        f"abfs://:{SECRET}@account/run",
        f"https://user:{SECRET}@host/x",
        f"postgresql+psycopg2://user:{SECRET}@host:5432/study",
        f"mysql://host/db?user=a&password={SECRET}&charset=utf8",
        f"s3://bucket/run?access_key=AK&secret_key={SECRET}",
        f"s3://bucket/run?region=eu&secretKey={SECRET}",
        f"https://account.blob/run?sv=2020&sig={SECRET}",
        f"wandb.token={SECRET}",
        f"--set=a.API_KEY={SECRET}",
        f"some.password={SECRET} with blanks\nand lines",
        f"login.key={SECRET}",
        f"aws_secret_access_key={SECRET}",
        f"data={{name: digits, token: {SECRET}}}",
        f'data={{"token": "{SECRET}", "side": 8}}',
    ],
)
def test_secrets_are_masked_and_nothing_is_left_of_them(text: str) -> None:
    shown = masked(text)
    assert "***" in shown
    assert SECRET not in shown
    assert masked(shown) == shown
    if "://" in text:
        with pytest.raises(InputError, match=r"\*\*\*.*holds a user's key, password or token") as raised:
            require_no_secret(text)
        assert SECRET not in str(raised.value)
        with pytest.raises(InputError) as raised:
            Storage(text)
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/run@2",
        "s3://bucket/run?region=eu-west-1&endpoint_override=localhost:9000",
        "gs://anonymous@bucket/run",
        "abfs://container@account.dfs.core.windows.net/run",
        "hdfs://me@host:8020/run",
        "https://host:8080/a@b",
        "sqlite:///x.db",
        "runs/a:b@c",
        "baseline.objective.kd.weight=0.5",
        "search={objective.kd.temperature: {float: [1, 8]}}",
        "baseline.teacher.checkpoint=/data/monkey.pth",
        "--run-dir",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert masked(text) == text
    if "://" in text:
        require_no_secret(text)
