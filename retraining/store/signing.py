"""Signatures of log entries, result segments and hints, with keys that are in the environment alone.

An entry names everything by digest, so its signature vouches for all that a release reaches. A segment
is signed too, since a run takes finished fits from there; a hint, since a plan believes it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from retraining.errors import InputError, SignatureError

__all__ = [
    "KEY_VARIABLE",
    "NO_KEYS",
    "Keys",
    "check_bytes",
    "check_signature",
    "read_keys",
    "sign",
    "sign_bytes",
]

KEY_VARIABLE = "RETRAINING_SIGNING_KEY"
_MIN_LETTERS = 16
_SIGNED = b"RTSG1"
_MAC_BYTES = 32
_SUFFIX = re.compile(rb',"signature":"hmac-sha256:([0-9a-f]{64})"\}\n\Z')
_SUFFIX_BYTES = len(',"signature":"hmac-sha256:"}\n') + 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys that are accepted; the first one signs. No text and no pickle of it shows a key."""

    accepted: tuple[bytes, ...] = field(default=(), repr=False)

    def __reduce__(self) -> tuple[type, tuple[()]]:
        raise TypeError("signing keys are not sent anywhere: each process reads its own environment")

    def __bool__(self) -> bool:
        return bool(self.accepted)

    def mac(self, purpose: str, data: bytes) -> str:
        """The signature of some bytes for a purpose, in hex."""
        return _mac(self.accepted[0], purpose, data)

    def accept(self, purpose: str, data: bytes, found: str) -> bool:
        """Whether one of the keys made this signature of some bytes for this purpose."""
        matches = [hmac.compare_digest(_mac(key, purpose, data), found) for key in self.accepted]
        return any(matches)


NO_KEYS = Keys()


def read_keys(environment: Mapping[str, str]) -> Keys:
    """The keys in RETRAINING_SIGNING_KEY, separated by spaces or commas; none where it is not set.

    InputError, which repeats nothing of it, for a key of fewer than 16 letters.
    """
    found = re.split(r"[\s,]+", environment.get(KEY_VARIABLE, "").strip(" \t\r\n,"))
    keys = [key.encode() for key in found if key]
    if any(len(key) < _MIN_LETTERS for key in keys):
        raise InputError(
            f"{KEY_VARIABLE} holds a key of fewer than {_MIN_LETTERS} letters",
            "make one with `openssl rand -hex 32`; several are separated by commas, and the first one signs",
        )
    return Keys(accepted=tuple(keys))


def sign(sealed: bytes, keys: Keys, purpose: str) -> bytes:
    """A sealed document with its signature as the last field; as it is where there is no key."""
    if not keys:
        return sealed
    return sealed[:-2] + f',"signature":"hmac-sha256:{keys.mac(purpose, sealed)}"}}\n'.encode()


def check_signature(data: bytes, keys: Keys, purpose: str, key: str) -> tuple[bytes, bool]:
    """The sealed document without its signature, and whether it had one; nothing of it is parsed.

    SignatureError where there are keys and none of them made the signature.
    """
    found = _SUFFIX.search(data[-_SUFFIX_BYTES:])
    sealed = data[:-_SUFFIX_BYTES] + b"}\n" if found is not None else data
    if keys and found is None:
        raise SignatureError(
            f"{key}: it is not signed, and {KEY_VARIABLE} says that it must be",
            "find out who wrote it (docs/security.md); without the variable unsigned stores are read",
        )
    if keys and found is not None and not keys.accept(purpose, sealed, found[1].decode()):
        raise SignatureError(
            f"{key}: it is signed, but by none of the keys in {KEY_VARIABLE}",
            "add the key that signed it, after a comma; or find out who wrote it (docs/security.md)",
        )
    return sealed, found is not None


def sign_bytes(data: bytes, keys: Keys, purpose: str) -> bytes:
    """Bytes that are no document, followed by their signature; as they are where there is no key."""
    if not keys:
        return data
    return data + bytes.fromhex(keys.mac(purpose, data)) + _SIGNED


def check_bytes(data: bytes, keys: Keys, purpose: str, key: str) -> bytes:
    """The bytes without the signature that `sign_bytes` put behind them; SignatureError as `check_signature`."""
    signed = data.endswith(_SIGNED)
    body = data[: -_MAC_BYTES - len(_SIGNED)] if signed else data
    found = data[len(body) : -len(_SIGNED)].hex() if signed else ""
    if keys and not (signed and keys.accept(purpose, body, found)):
        raise SignatureError(f"{key}: it is not signed by any of the keys in {KEY_VARIABLE}")
    return body


def _mac(key: bytes, purpose: str, data: bytes) -> str:
    return hmac.new(key, purpose.encode() + b"\0" + data, hashlib.sha256).hexdigest()
