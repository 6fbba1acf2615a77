"""Content credentials (C2PA): pictures signed with the certificate of whoever runs this. Optional, extra `c2pa`.

A manifest says that a photo was opened and its background replaced, by what, and what kind of picture that makes it.
Neither the photo nor a thumbnail of it is put in, nor what its own manifest may say: the old background and the place
would be read there.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from cyclorama.engine.errors import InvalidOptions, first_line
from cyclorama.engine.metadata import PAINTED

CERTIFICATE, KEY = "CYCLORAMA_C2PA_CERTIFICATE", "CYCLORAMA_C2PA_KEY"
"""Names of the environment's variables: files in PEM, the chain with the leaf first, and its private key."""
_ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512", "ed25519": "ed25519", "rsa": "ps256"}
_NO_THUMBNAILS = {"builder": {"thumbnail": {"enabled": False}}}


class Signer:
    """Signs with one certificate. May be shared between threads.

    certificate: PEM, the leaf first.  key: PEM, not encrypted.
    Raises InvalidOptions where c2pa is not installed, a file cannot be read, or the two do not make a valid signature.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        try:
            import c2pa
            from cryptography.hazmat.primitives import serialization
        except ImportError:
            raise InvalidOptions(
                f"{CERTIFICATE} is set, but c2pa is not installed: pip install 'cyclorama[c2pa]'"
            ) from None
        try:
            self._chain, self._key = certificate.read_bytes(), key.read_bytes()
            private: Any = serialization.load_pem_private_key(self._key, None)
        except OSError as error:
            raise InvalidOptions(f"{error.filename} cannot be read ({error.strerror}); see {CERTIFICATE}") from None
        except (ValueError, TypeError) as error:
            raise InvalidOptions(f"{key} is no private key in PEM without a password ({error})") from None
        kind = getattr(getattr(private, "curve", None), "name", None) or type(private).__name__.lower()
        self._algorithm = next((value for name, value in _ALGORITHMS.items() if kind.startswith(name)), None)
        self._c2pa = c2pa
        if self._algorithm is None:
            raise InvalidOptions(f"{key} is of a kind that C2PA does not sign with; take an EC key such as prime256v1")
        self._try(certificate)

    def _try(self, certificate: Path) -> None:
        with BytesIO() as file:
            Image.new("RGB", (8, 8)).save(file, "png")
            empty = file.getvalue()
        reader = self._c2pa.Reader("image/png", BytesIO(self.sign(empty, "png")))
        state, told = reader.get_validation_state(), json.loads(reader.json()).get("validation_status", [])
        if state == "Invalid":
            wrong = [one["explanation"] for one in told if one["code"] != "signingCredential.untrusted"]
            raise InvalidOptions(f"{certificate} makes no valid signature ({'; '.join(wrong)})")

    def sign(self, data: bytes, kind: str, painted_by: str | None = None) -> bytes:
        """The same picture with a manifest. kind: `png`, `jpeg` or `webp`.  painted_by: the model's name, if any.

        Raises InvalidOptions where the certificate cannot sign.
        """
        agent = {"name": "Cyclorama", "version": version("cyclorama")}
        replaced: dict[str, Any] = {"action": "c2pa.edited", "softwareAgent": agent}
        if painted_by is not None:
            replaced |= {"digitalSourceType": PAINTED, "description": f"The background was painted by {painted_by}."}
        else:
            replaced["description"] = "The background was replaced; nothing was painted by a model."
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["photo"]}}
        manifest = {
            "claim_generator_info": [{"name": "cyclorama", "version": version("cyclorama")}],
            "ingredients": [{"title": "photo", "instance_id": "photo", "relationship": "parentOf"}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [opened, replaced]}}],
        }
        c2pa = self._c2pa
        try:
            info = c2pa.C2paSignerInfo(self._algorithm, self._chain, self._key, None)
            context = c2pa.Context(c2pa.Settings.from_dict(_NO_THUMBNAILS))
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(manifest, context) as builder, BytesIO() as signed:
                builder.sign(signer, f"image/{kind}", BytesIO(data), signed)
                return signed.getvalue()
        except c2pa.C2paError as error:
            raise InvalidOptions(f"{CERTIFICATE} cannot sign ({first_line(error)}); has it expired?") from None


def signer() -> Signer | None:
    """The one that the environment names, tried once; None: pictures are not signed. Raises InvalidOptions."""
    certificate, key = os.environ.get(CERTIFICATE), os.environ.get(KEY)
    if not certificate and not key:
        return None
    if not certificate or not key:
        raise InvalidOptions(f"{CERTIFICATE} and {KEY} go together, and one of them is not set")
    return _signer(Path(certificate), Path(key))


@lru_cache(1)
def _signer(certificate: Path, key: Path) -> Signer:
    return Signer(certificate, key)
