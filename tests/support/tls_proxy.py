"""TLS in front of a server on loopback, with certificates of an authority made for it."""

import asyncio
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """Files of an authority that nobody trusts by itself, and of a certificate for 127.0.0.1 from it.

    Attributes:
        certificate: of the authority, PEM: what clients are to trust.
        server: certificate and key of the server, PEM.
    """

    certificate: Path
    server: Path

    @classmethod
    def made(cls, folder: Path) -> "Authority":
        """Write the files into a folder."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of the tests")])
        key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        authority = _certificate(name, name, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        server = _certificate(subject, name, server_key.public_key()).add_extension(host, critical=False)
        pem = serialization.Encoding.PEM
        made = cls(folder / "authority.pem", folder / "server.pem")
        made.certificate.write_bytes(authority.sign(key, hashes.SHA256()).public_bytes(pem))
        made.server.write_bytes(
            server.sign(key, hashes.SHA256()).public_bytes(pem)
            + server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return made


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


@contextmanager
def running(authority: Authority, url: str) -> Iterator[str]:
    """Yield an https URL of which all that is sent is passed on to the server at an http URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server)
    behind = urlsplit(url)
    assert behind.hostname

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(behind.hostname, behind.port)
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # a client that does not trust the certificate ends at once
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    server = asyncio.run_coroutine_threadsafe(made, loop).result()
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
