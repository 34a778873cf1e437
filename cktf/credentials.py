"""Passwords, keys and tokens in command lines and URIs: refused in the URI of a folder, masked in stored text."""

import re

from cktf.errors import InputError

MASK = "***"

_NAME = (
    r"[^\s=&?:,{\"']*(?:secret|token|passw|passphrase|pwd|credential|signature|api_?key|access_?key|private_?key"
    r"|(?<![a-z])key(?![a-z])|(?<![a-z])sig(?![a-z]))[^\s=&?:,{\"']*"
)
"""Pattern of the names of settings whose value is secret."""

_QUERY = re.compile(rf"([?&;]{_NAME}=)[^&;#\s]*", re.IGNORECASE)
_ARGUMENT = re.compile(rf"^((?:--set=)?{_NAME}=).+$", re.IGNORECASE | re.DOTALL)
_ENTRY = re.compile(rf"({_NAME}[\"']?:\s*)(\"[^\"]*\"|'[^']*'|[^\s,}}\]/][^\s,}}\]]*)", re.IGNORECASE)
_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/?#\s@]*(?::(?!\d+/)[^?#\s@]*)?)@", re.IGNORECASE)

_USER_IS_NO_SECRET = {"abfs", "abfss", "hdfs", "viewfs", "ssh", "sftp"}
"""Schemes whose part before the @ is a container or a user, unless a password follows it."""


def masked(text: str) -> str:
    """Return an argument of a command line, or a URI, with its secrets masked."""
    text = _USER.sub(lambda found: f"{found['scheme']}://{MASK}@" if _is_secret(found) else found[0], text)
    text = _QUERY.sub(rf"\1{MASK}", text)
    text = _ARGUMENT.sub(rf"\1{MASK}", text)
    # Entries of a mapping that is given as one value.
    return _ENTRY.sub(rf"\1{MASK}", text) if "=" in text else text


def require_no_secret(uri: str) -> None:
    """Raise an InputError, in which secrets are masked, if a URI holds a password, key or token."""
    if (shown := masked(uri)) != uri:
        raise InputError(
            f"{shown}: holds a user's key, password or token, which would be written into logs and results; name the "
            "place alone, and give credentials by the environment, a file of the provider's, or a role"
        )


def _is_secret(found: re.Match[str]) -> bool:
    user = found["user"]
    return ":" in user or (found["scheme"].lower() not in _USER_IS_NO_SECRET and user != "anonymous")
