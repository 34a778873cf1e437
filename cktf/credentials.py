"""Secrets that stand in a command line or a URI: refused where a place is named, masked where it is written down."""

import re

from cktf.errors import InputError

MASK = "***"

_NAME = (
    r"[^\s=&?:,{\"']*(?:secret|token|passw|passphrase|pwd|credential|signature|api_?key|access_?key|private_?key"
    r"|(?<![a-z])key(?![a-z])|(?<![a-z])sig(?![a-z]))[^\s=&?:,{\"']*"
)
"""What a setting is called whose value is secret."""

_QUERY = re.compile(rf"([?&;]{_NAME}=)[^&;#\s]*", re.IGNORECASE)
_ARGUMENT = re.compile(rf"^((?:--set=)?{_NAME}=).+$", re.IGNORECASE | re.DOTALL)
_ENTRY = re.compile(rf"({_NAME}[\"']?:\s*)(\"[^\"]*\"|'[^']*'|[^\s,}}\]/][^\s,}}\]]*)", re.IGNORECASE)
_USER = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/?#\s@]*(?::(?!\d+/)[^?#\s@]*)?)@", re.IGNORECASE
)

_USER_IS_NO_SECRET = {"abfs", "abfss", "hdfs", "viewfs", "ssh", "sftp"}
"""Schemes whose part before the @ names a container or a user, as long as no password follows it."""


def masked(text: str) -> str:
    """Return one argument of a command line, or a URI, with a mask in place of what is secret in it."""
    text = _USER.sub(lambda found: f"{found['scheme']}://{MASK}@" if _is_secret(found) else found[0], text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _ARGUMENT.sub(rf"\1{MASK}", text)
    # Of a mapping that is set whole.
    return _ENTRY.sub(rf"\1{MASK}", text) if "=" in text else text


def require_no_secret(uri: str) -> None:
    """Refuse a URI with a password, a key or a token in it, without repeating it.

    Raises:
        InputError: It shows the URI with a mask.
    """
    if (shown := masked(uri)) != uri:
        raise InputError(
            f"{shown}: holds a user's key, password or token, which would be written into logs and results; name the "
            "place alone, and give credentials by the environment, a file of the provider's, or a role"
        )


def _is_secret(found: re.Match[str]) -> bool:
    user = found["user"]
    return ":" in user or (found["scheme"].lower() not in _USER_IS_NO_SECRET and user != "anonymous")
