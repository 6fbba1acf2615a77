"""Content credentials: signed with a certificate made here, read back by C2PA's own library."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import c2pa
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from cyclorama import Background, BackgroundGenerator, InvalidOptions, cut_out
from cyclorama.cli import main
from cyclorama.engine.metadata import PAINTED
from cyclorama.engine.provenance import CERTIFICATE, KEY, signer
from tests.conftest import PHOTOS

KINDS: dict[str, Callable[[], Any]] = {
    "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def credentials(folder: Path, kind: str = "ec", days: int = 30) -> tuple[Path, Path]:
    """A leaf's chain and its key, as a test authority gives them."""
    now = datetime.datetime.now(datetime.UTC)
    authority, key = KINDS["ec"](), KINDS[kind]()

    def name(common: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A shop"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
        )

    def certificate(subject: str, public: Any, is_authority: bool) -> x509.Certificate:
        usage = [not is_authority, False, False, False, False, is_authority, is_authority, False, False]
        built = (
            x509.CertificateBuilder()
            .subject_name(name(subject)).issuer_name(name("authority")).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60)).not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.KeyUsage(*usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        )  # fmt: skip
        if not is_authority:
            built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return built.sign(authority, hashes.SHA256())

    chain = [certificate("shop", key.public_key(), False), certificate("authority", authority.public_key(), True)]
    files = folder / f"{kind}.pem", folder / f"{kind}-key.pem"
    files[0].write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def use(monkeypatch: pytest.MonkeyPatch, certificate: Path | str, key: Path | str) -> None:
    monkeypatch.setenv(CERTIFICATE, str(certificate))
    monkeypatch.setenv(KEY, str(key))


def read(data: bytes, kind: str) -> tuple[str, dict[str, Any]]:
    reader = c2pa.Reader(f"image/{kind}", io.BytesIO(data))
    told = json.loads(reader.json())
    return reader.get_validation_state(), told["manifests"][told["active_manifest"]]


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_signed_with_each_kind_of_key(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = Image.new("L", (451, 300))
    mask.paste(255, (100, 60, 300, 260))
    cutout = cut_out(PHOTOS / "cat.jpg", mask=mask)
    plain = cutout.on(Background.colour("white"))
    bare = plain.encode("png")
    use(monkeypatch, *credentials(tmp_path, kind))
    for name in ("png", "jpeg", "webp"):
        data = plain.encode(name)
        state, manifest = read(data, name)
        assert state == "Valid"
        assert [(one["title"], one["relationship"]) for one in manifest["ingredients"]] == [("photo", "parentOf")]
        assert manifest["ingredients"][0].get("format", "application/octet-stream") == "application/octet-stream"
        opened, edited = manifest["assertions"][0]["data"]["actions"]
        assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
        assert "digitalSourceType" not in edited
        assert edited["description"] == "The background was replaced; nothing was painted by a model."
        assert "thumbnail" not in json.dumps(manifest)  # it would show the old background
    signed = plain.encode("png")
    assert 2_000 < len(signed) - len(bare) < 20_000
    assert Image.open(io.BytesIO(signed)).tobytes() == Image.open(io.BytesIO(bare)).tobytes()
    damaged = bytearray(signed)
    damaged[-40] ^= 1  # in the last of the picture's data
    assert read(bytes(damaged), "png")[0] == "Invalid"


def test_a_painted_picture_says_so_and_still_fits(
    nano_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, *credentials(tmp_path))
    generator = BackgroundGenerator.load(nano_onnx, backend="onnx")
    result = generator.generate(generator.prepare(PHOTOS / "cat.jpg", size=64), "a beach", num_inference_steps=1)
    data = result.encode("jpeg", max_bytes=40_000)
    assert len(data) <= 40_000
    state, manifest = read(data, "jpeg")
    assert state == "Valid"
    edited = manifest["assertions"][0]["data"]["actions"][1]
    assert edited["digitalSourceType"] == PAINTED
    assert edited["description"] == "The background was painted by nano."


def test_what_cannot_sign_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CERTIFICATE, raising=False)
    monkeypatch.delenv(KEY, raising=False)
    assert signer() is None
    (tmp_path / "other").mkdir()
    (tmp_path / "late").mkdir()
    certificate, key = credentials(tmp_path)
    _, other = credentials(tmp_path / "other")
    late, late_key = credentials(tmp_path / "late", days=-1)
    old = tmp_path / "dsa.pem"
    old.write_bytes(
        dsa.generate_private_key(1024).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    for one, two, told in (
        (certificate, "", "go together"),
        (tmp_path / "none.pem", key, "cannot be read"),
        (certificate, certificate, "no private key in PEM"),
        (certificate, other, "makes no valid signature|cannot sign"),
        (late, late_key, "makes no valid signature|cannot sign"),
        (certificate, old, "of a kind that C2PA does not sign with"),
    ):
        use(monkeypatch, one, two)
        with pytest.raises(InvalidOptions, match=told):
            signer()
    out = tmp_path / "out.png"
    for words in (("generate", str(PHOTOS / "cat.jpg"), "--background", "white", "-o", str(out)),
                  ("batch", str(PHOTOS), "--background", "white", "-o", str(tmp_path / "batch")),
                  ("serve", "--port", "1")):  # fmt: skip
        ended = CliRunner().invoke(main, list(words))
        assert ended.exit_code in (1, 2)
        assert "of a kind that C2PA does not sign with" in ended.stderr
    assert not out.exists()
    assert not (tmp_path / "batch").exists()
