"""A witness behind HTTP, as C2SP tlog-witness says, and its folder.

    POST /add-checkpoint    200 the cosignature lines, 400 malformed, 403 not signed by
                            the log, 404 no log that is watched, 409 the size seen last
                            (or another tree of that size), 422 the tree did not grow

Nobody is asked who they are: the log's own signature under the checkpoint is all that
counts. Of a checkpoint that the log signed and that contradicts what was cosigned, a
fraud proof is written into the folder before the answer goes out.
"""

import asyncio
import contextlib
import functools
import ssl
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp import web
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hetao.alone import alone
from hetao.errors import InvalidData, Refused, Unverified
from hetao.ledger.fraud import write_fraud
from hetao.ledger.note import (
    COSIGNATURE,
    LOG_SIGNATURE,
    SUBTREE,
    Verifier,
    parse_vkey,
    verify_note,
)
from hetao.ledger.submission import LARGEST, Submission, parse_submission
from hetao.ledger.witness import Witness
from hetao.whole import write_new

SIZE_TYPE: Final = "text/x.tlog.size"
CLOSING_SECONDS: Final = 2.0
_NAME_FILE, _STORE = "witness.toml", "witness.sqlite"
_KEY, _BESIDE = "ed25519.pem", "ml-dsa-44.pem"


def _no_witness(path: Path) -> InvalidData:
    fix = "make one with hetao witness init"
    return InvalidData(f"{path} holds no witness", fix=fix)


def _keys_in(path: Path) -> tuple[Ed25519PrivateKey, MLDSA44PrivateKey]:
    """Return the keys of a witness's folder.

    Raises:
        InvalidData: one is not there, or of another kind.
    """
    try:
        key = load_pem_private_key((path / _KEY).read_bytes(), None)
        beside = load_pem_private_key((path / _BESIDE).read_bytes(), None)
    except (
        OSError,
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        InternalError,
    ) as error:
        raise _no_witness(path) from error
    if not isinstance(key, Ed25519PrivateKey) or not isinstance(
        beside, MLDSA44PrivateKey
    ):
        raise InvalidData(f"{path} holds keys of another kind than a witness's")
    return key, beside


@dataclass(frozen=True)
class WitnessFolder:
    """Where a witness lives: its name, its keys and what it has seen."""

    path: Path
    name: str
    key: Ed25519PrivateKey
    beside: MLDSA44PrivateKey

    @classmethod
    def create(cls, path: Path, name: str) -> Self:
        """Make a witness with fresh keys in a new folder of mode 0700.

        Its name comes last. Keys that are there without one, of a run that was killed,
        are taken: none is ever written over.

        Raises:
            InvalidData: the folder holds a witness already, or the name is not one, or
                a key that is there is none.
        """
        made = Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate()
        cls(path, name, *made).verifiers  # noqa: B018  # refuses what is not a name
        if (path / _NAME_FILE).exists():
            raise InvalidData(
                f"{path} holds a witness already", fix="choose another folder"
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(path):
            form = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            pems = [key.private_bytes(*form) for key in made]
            for file, pem in zip((_KEY, _BESIDE), pems, strict=True):
                with contextlib.suppress(FileExistsError):
                    write_new(path / file, functools.partial(bytes, pem))
            found = cls(path, name, *_keys_in(path))
            write_new(path / _NAME_FILE, f'name = "{name}"\n'.encode, 0o644)
        return found

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the witness of a folder.

        Raises:
            InvalidData: the folder holds none.
        """
        try:
            name = tomllib.loads((path / _NAME_FILE).read_text("utf-8"))["name"]
        except (OSError, KeyError, ValueError) as error:
            raise _no_witness(path) from error
        return cls(path, str(name), *_keys_in(path))

    @property
    def verifiers(self) -> tuple[Verifier, Verifier]:
        """What others are given to verify its cosignatures: Ed25519, ML-DSA-44."""
        return (
            Verifier.of(self.name, self.key.public_key(), COSIGNATURE),
            Verifier.of(self.name, self.beside.public_key(), SUBTREE),
        )

    def open(self, clock: Callable[[], int] = lambda: int(time.time())) -> Witness:
        """Return the witness, to be closed at the end."""
        return Witness.open(self.path / _STORE, self.name, self.key, clock, self.beside)

    def trust(self, vkey: str) -> Verifier:
        """Watch the log of this vkey from now on; return it.

        Raises:
            InvalidData: it is not the Ed25519 key of a log.
            Refused: the log is already watched under another key.
        """
        log = parse_vkey(vkey)
        if log.kind != LOG_SIGNATURE:
            raise InvalidData("the vkey is not that of a log's Ed25519 key")
        with self.open() as witness:
            witness.trust(log.name, Ed25519PublicKey.from_public_bytes(log.public))
        return log


@dataclass(frozen=True)
class Answer:
    """What a witness answers: a status, and a body of plain text."""

    status: int
    body: str = ""
    kind: str = "text/plain; charset=utf-8"


def answer(
    witness: Witness,
    text: str,
    found: Callable[[str, str, tuple[bytes, ...]], None] = lambda *_: None,
) -> Answer:
    """Return what a witness answers to a submission.

    Args:
        witness: the one that was asked.
        text: the body of the request.
        found: takes two notes of one log that contradict each other, as far as the
            path between them shows.

    Source:
        C2SP tlog-witness v1.0.0. Test: `tests/contract/test_witness_http.py`.
    """
    try:
        asked = parse_submission(text)
        origin = asked.checkpoint.origin
    except Unverified as error:
        return Answer(400, error.what + "\n")
    try:
        key = witness.key_of(origin)
    except Refused as error:
        return Answer(404, error.what + "\n")
    try:
        verify_note(asked.note, origin, key)
    except Unverified as error:
        return Answer(403, error.what + "\n")
    return _added(witness, asked, key, found)


def _added(
    witness: Witness,
    asked: Submission,
    key: Ed25519PublicKey,
    found: Callable[[str, str, tuple[bytes, ...]], None],
) -> Answer:
    tree = asked.checkpoint
    try:
        lines = witness.add_checkpoint(
            tree.origin, key, asked.old, asked.note, asked.path
        )
    except Refused:
        return _conflict(witness, tree.origin)
    except Unverified as error:
        found(witness.note(tree.origin), asked.note, asked.path)
        if asked.old == tree.size:
            return _conflict(witness, tree.origin)
        return Answer(422, error.what + "\n")
    return Answer(200, lines)


def _conflict(witness: Witness, origin: str) -> Answer:
    return Answer(409, f"{witness.size(origin)}\n", SIZE_TYPE)


class WitnessServer:
    """The one route of a witness."""

    def __init__(self, witness: Witness, folder: Path) -> None:
        """Serve a witness; fraud proofs are written into `folder`."""
        self._witness, self._folder = witness, folder

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_post("/add-checkpoint", self._add)
        return app

    async def _add(self, request: web.Request) -> web.Response:
        data = await request.read()
        text = data.decode("utf-8", "surrogateescape")
        # It waits for the disk, and two at once wait for each other.
        said = await asyncio.to_thread(answer, self._witness, text, self._found)
        headers = {"Content-Type": said.kind}
        return web.Response(
            status=said.status, body=said.body.encode(), headers=headers
        )

    def _found(self, known: str, new: str, path: tuple[bytes, ...]) -> None:
        write_fraud(self._folder, known, new, path)


async def serve_witness(
    folder: WitnessFolder, host: str, port: int, tls: ssl.SSLContext | None = None
) -> web.AppRunner:
    """Start serving and return the runner; `await runner.cleanup()` stops it."""
    witness = folder.open()
    app = WitnessServer(witness, folder.path).application()

    async def close(_: web.Application) -> None:
        witness.close()

    app.on_cleanup.append(close)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls, reuse_address=True).start()
    return runner
