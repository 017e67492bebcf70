"""What HTTPS adds to the contract: who may connect, and what a hub bears."""

import asyncio
import contextlib
import datetime
import ssl
import time

import aiohttp
import pytest
from aiohttp import web

from hetao.errors import BadEnvelope, Refused, Unreachable
from hetao.federation.hub_https import serve_hub
from hetao.federation.pki import new_authority, write_certificate
from hetao.federation.tls import client_tls, server_tls
from hetao.federation.transport_https import HttpsTransport
from hetao.ledger.envelope import LARGEST_ENVELOPE
from support_transport import HUBS, HttpsNet, letter, now, play, too_much

HK, SZ = HUBS
PATH = "/v1/envelopes"


@pytest.fixture
def on_stage(tmp_path):
    """Return a runner of scenes over HTTPS."""
    return lambda scene, **more: play(HttpsNet, tmp_path, scene, **more)


async def ask(net, tls, method="GET", path=PATH, **more):
    """Send one request to a hub and return status and body."""
    connector = aiohttp.TCPConnector(ssl=tls)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, net.addresses[HK] + path, **more) as answer,
    ):
        return answer.status, await answer.text()


async def assert_alive(net):
    """A listed party still posts, and its recipient still receives."""
    sent = letter(net.cast, "a", "coordinator")
    await net.transport("a").post(HK, sent.data)
    inbox = await net.transport("coordinator").inbox(HK, 0, "", 0)
    assert sent.data in [data for _, data in inbox.items]


@contextlib.asynccontextmanager
async def dialled(net, tls):
    """Open a bare connection to a hub; no TLS where there is no context."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        net.ports[HK],
        ssl=tls,
        server_hostname="127.0.0.1" if tls else None,
    )
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


# --- who may connect -----------------------------------------------------------------
def bare_context(net):
    return ssl.create_default_context(cafile=net.listed)


def without_certificate(net):
    context = bare_context(net)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def of_a_foreign_authority(net):
    foreign = new_authority("authority-HK", now(), 2)  # the name alone proves nothing
    return client_tls(*net.certificate("a", authority=foreign), net.listed)


def signed_by_itself(net):
    itself = new_authority("a", now(), 2)
    return client_tls(*net.certificate("a", authority=itself), net.listed)


def with_the_certificate_of_a_server(net):
    return client_tls(*net.certificate(SZ, ("127.0.0.1",)), net.listed)


def past_its_time(net):
    before = now() - datetime.timedelta(days=3)
    paths = write_certificate(net.tls, net.authorities["HK"], "a", (), before, 1)
    return client_tls(*paths, net.listed)


def under_tls_1_3(net):
    context = bare_context(net)
    context.load_cert_chain(*net.certificate("a"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize(
    "context_of",
    [
        without_certificate,
        of_a_foreign_authority,
        signed_by_itself,
        with_the_certificate_of_a_server,
        past_its_time,
        under_tls_1_3,
    ],
)
def test_a_connection_is_refused(on_stage, context_of):
    async def scene(net):
        tls = context_of(net)

        with pytest.raises((aiohttp.ClientError, ssl.SSLError, ConnectionError)):
            await ask(net, tls)

        await assert_alive(net)

    on_stage(scene)


def test_a_party_refused_by_tls_finds_the_hub_unreachable(on_stage):
    async def scene(net):
        way = HttpsTransport(net.addresses, of_a_foreign_authority(net), 0.2)
        try:
            with pytest.raises(Unreachable, match=HK):
                await way.inbox(HK, 0, "", 0)
        finally:
            await way.close()

    on_stage(scene)


def test_plain_http_gets_nothing(on_stage):
    async def scene(net):
        async with dialled(net, None) as (reader, writer):
            writer.write(b"GET /v1/envelopes HTTP/1.1\r\nHost: hub\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert b"HTTP/" not in await reader.read(100)

        await assert_alive(net)

    on_stage(scene)


@pytest.mark.parametrize(
    "hosts", [("127.0.0.1",), ("hub.example.org",)], ids=["authority", "host"]
)
def test_a_party_refuses_a_hub_that_is_not_the_listed_one(on_stage, hosts):
    async def scene(net):
        listed = hosts != ("127.0.0.1",)
        authority = net.authorities["HK"] if listed else new_authority("x", now(), 2)
        certificate = net.certificate(HK, hosts, authority)
        await net.runners.pop(HK).cleanup()
        tls = server_tls(*certificate, net.listed)
        net.runners[HK] = await serve_hub(net.hubs[HK], "127.0.0.1", net.ports[HK], tls)

        with pytest.raises(Unreachable, match=HK):
            await net.transport("a").inbox(HK, 0, "", 0)

    on_stage(scene, patience_seconds=0.2)


def test_the_certificate_says_who_posts_and_not_the_envelope(on_stage):
    async def scene(net):
        data = letter(net.cast, "b", "coordinator").data

        status, body = await ask(net, net.client("a"), "POST", data=data)

        assert status == 403
        assert "HT-305" in body
        assert await ask(net, net.client("coordinator"), path=PATH + "?wait=0") == (
            204,
            "",
        )

    on_stage(scene)


@pytest.mark.parametrize("name", ["mallory", "ethics-hk"])
def test_a_certificate_alone_gets_nobody_s_envelopes(on_stage, name):
    async def scene(net):
        await net.transport("a").post(HK, letter(net.cast, "a", "coordinator").data)

        for query in ("", "&recipient=coordinator", "&run=" + "f" * 32):
            path = f"{PATH}?after=0&wait=0{query}"
            assert await ask(net, net.client(name), path=path) == (204, "")
        status, _ = await ask(net, net.client(name), "POST", data=b"HTE1")
        assert status == 403

    on_stage(scene)


# --- what a hub bears ----------------------------------------------------------------
def test_a_body_over_the_limit_is_refused(on_stage):
    async def scene(net):
        async def zeros():
            for _ in range(LARGEST_ENVELOPE // 2**20 + 1):
                yield bytes(2**20)

        status, _ = await ask(net, net.client("a"), "POST", data=zeros())

        assert status == 413
        await assert_alive(net)

    on_stage(scene)


@pytest.mark.parametrize(
    ("path", "largest"),
    [("/v1/notices", 2**20), ("/v1/records", 2**24), ("/v1/lists", 2**21)],
)
def test_of_a_body_that_does_not_say_its_length_no_more_is_read(
    on_stage, path, largest
):
    """In chunks; whoever the network knows may send it."""

    async def scene(net):
        async def zeros():
            for _ in range(largest // 2**16 + 1):
                yield bytes(2**16)

        status, _ = await ask(net, net.client("a"), "POST", path, data=zeros())

        assert status == 413
        await assert_alive(net)

    on_stage(scene)


def test_a_body_that_says_that_it_is_over_the_limit_is_refused_at_once(on_stage):
    async def scene(net):
        async with dialled(net, net.client("a")) as (reader, writer):
            length = LARGEST_ENVELOPE + 2**20
            writer.write(
                f"POST {PATH} HTTP/1.1\r\nHost: hub\r\n"
                f"Content-Length: {length}\r\n\r\n".encode()
            )

            line = await asyncio.wait_for(reader.readline(), 5)

            assert b" 413 " in line
        await assert_alive(net)

    on_stage(scene)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v2/envelopes", 404),
        ("GET", "/v1/envelopes/../../etc/passwd", 404),
        ("PUT", PATH, 405),
        ("DELETE", PATH, 405),
        ("GET", PATH + "?after=x", 400),
        ("GET", PATH + "?after=1.5", 400),
        ("GET", PATH + "?after=-1", 400),
        ("GET", PATH + "?after=99999999999999999999", 400),
        ("GET", PATH + "?after=" + "9" * 5000, 400),
        ("GET", PATH + "?wait=soon", 400),
        ("GET", PATH + "?wait=nan", 204),
        ("GET", PATH + "?wait=-5", 204),
        ("GET", PATH + "?run=%ff%00%27;--", 204),
        ("GET", PATH + "?run=%ED%A0%80", 204),
    ],
)
def test_a_request_outside_the_two_routes_is_refused(on_stage, method, path, status):
    async def scene(net):
        found, _ = await ask(net, net.client("a"), method, path)

        assert found == status
        await assert_alive(net)

    on_stage(scene)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 200,
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/envelopes HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/envelopes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["zeros", "empty lines", "version", "length", "chunk", "path"],
)
def test_bytes_that_are_no_request_do_no_harm(on_stage, data):
    async def scene(net):
        async with dialled(net, net.client("a")) as (reader, writer):
            writer.write(data)
            with contextlib.suppress(TimeoutError, OSError):
                line = await asyncio.wait_for(reader.readline(), 0.3)
                assert line == b"" or b" 4" in line

        await assert_alive(net)

    on_stage(scene)


def test_the_slow_do_not_hold_up_the_others(on_stage):
    async def scene(net):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(20):
                _, half = await stack.enter_async_context(dialled(net, net.client("b")))
                half.write(
                    f"POST {PATH} HTTP/1.1\r\nHost: hub\r\n"
                    "Content-Length: 1000\r\n\r\nhalf".encode()
                )
                _, mute = await stack.enter_async_context(dialled(net, None))
                mute.write(b"\x16\x03\x01")
            start = time.monotonic()

            await assert_alive(net)

            assert time.monotonic() - start < 2

    on_stage(scene)


def test_a_hub_closes_soon_whatever_is_open(on_stage):
    async def scene(net):
        poll = asyncio.create_task(net.transport("coordinator").inbox(HK, 0, "", 20))
        idle = net.transport("a")
        await idle.inbox(HK, 0, "", 0)
        async with dialled(net, net.client("b")) as (_, half):
            half.write(
                f"POST {PATH} HTTP/1.1\r\nHost: hub\r\n"
                "Content-Length: 1000\r\n\r\nhalf".encode()
            )
            await asyncio.sleep(0.2)
            start = time.monotonic()

            await net.stop(HK)

            assert time.monotonic() - start < 6
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection("127.0.0.1", net.ports[HK])
        poll.cancel()
        await asyncio.wait([poll])

    on_stage(scene)


def test_a_hub_with_open_polls_only_closes_at_once(on_stage):
    async def scene(net):
        ways = [net.transport(party) for party in ("a", "b", "c", "coordinator")]
        polls = [asyncio.create_task(way.inbox(HK, 0, "", 20)) for way in ways]
        await asyncio.sleep(0.3)
        start = time.monotonic()

        await net.stop(HK)

        assert time.monotonic() - start < 1.5
        for poll in polls:
            poll.cancel()
        await asyncio.wait(polls)

    on_stage(scene)


# --- what a party bears --------------------------------------------------------------
async def answered_by(net, handler, call):
    """Let a hub that goes wrong answer a party's call."""
    app = web.Application()
    app.router.add_route("*", PATH, handler)
    await net.runners.pop(HK).cleanup()
    net.runners[HK] = runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    tls = server_tls(*net.certificate(HK, ("127.0.0.1",)), net.listed)
    await web.TCPSite(runner, "127.0.0.1", net.ports[HK], ssl_context=tls).start()
    return await call(net.transport("a"))


async def post(way):
    await way.post(HK, b"data")


async def poll(way):
    await way.inbox(HK, 0, "", 0)


@pytest.mark.parametrize("call", [post, poll])
def test_a_hub_that_only_fails_is_unreachable_in_the_end(on_stage, call):
    async def scene(net):
        async def failing(_):
            return web.Response(status=500)

        with pytest.raises(Unreachable, match=HK):
            await answered_by(net, failing, call)

    on_stage(scene, patience_seconds=0.3)


def test_a_hub_that_fails_once_is_asked_again(on_stage):
    async def scene(net):
        answers = [503, 500, 201]

        async def recovering(_):
            return web.Response(status=answers.pop(0))

        await answered_by(net, recovering, post)

        assert answers == []

    on_stage(scene)


def test_a_batch_that_is_cut_short_is_refused(on_stage):
    async def scene(net):
        async def cut(_):
            return web.Response(body=b"\0" * 7)

        with pytest.raises(BadEnvelope):
            await answered_by(net, cut, poll)

    on_stage(scene)


def test_a_hub_leads_nobody_elsewhere(on_stage):
    """A party would else send there what it has, from inside its own network."""

    async def scene(net):
        async def elsewhere(_):
            raise web.HTTPTemporaryRedirect(net.addresses[SZ] + PATH)

        with pytest.raises(Refused, match="status 307"):
            await answered_by(net, elsewhere, poll)

    on_stage(scene)


@pytest.mark.parametrize("call", [post, poll])
def test_of_an_answer_that_is_too_large_no_more_is_taken(on_stage, call, monkeypatch):
    few = ("envelopes", 2**20)  # it takes 80 MiB, where nobody is patient
    monkeypatch.setattr(HttpsTransport._ask, "__defaults__", few)

    async def scene(net):
        with pytest.raises(BadEnvelope, match="more than"):
            await answered_by(net, too_much, call)

    on_stage(scene)


@pytest.mark.parametrize(
    "body", ["", "[]", '"x"', '{"code": 3}', "{", "[" * 100_000], ids=lambda b: b[:9]
)
def test_a_refusal_of_any_form_is_a_refusal(on_stage, body):
    async def scene(net):
        async def refusing(_):
            return web.Response(status=400, text=body, content_type="application/json")

        with pytest.raises(Refused, match=HK):
            await answered_by(net, refusing, post)

    on_stage(scene)


def test_who_waits_for_a_hub_opens_no_new_pool_after_the_end(on_stage):
    """Else the pool would outlive its owner, with a socket that nobody closes."""

    async def scene(net):
        away = dict.fromkeys(net.addresses, "https://127.0.0.1:9")
        way = HttpsTransport(away, net.client("a"), 60)
        asking = asyncio.create_task(way.post(HK, b"x"))
        await asyncio.sleep(0.02)
        await way.close()

        with pytest.raises(Unreachable, match="was closed"):
            await asking
        assert way._session is None

    on_stage(scene)
