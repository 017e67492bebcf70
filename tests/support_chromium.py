"""Debian's Chromium driven over its DevTools protocol, with a passkey in software."""

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import threading
import time

import aiohttp

HEADLESS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
LIMIT_SECONDS = 60.0  # a hang fails instead of hanging


class Browser:
    """One page of one Chromium; calls wait, from any thread but its own."""

    def __init__(self, profile):
        chromium = shutil.which("chromium")
        assert chromium, "chromium is not installed: `make test` installs it"
        self._process = subprocess.Popen(
            [
                chromium,
                *HEADLESS,
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        address = self._address()
        # what it goes on to say is read, or it would wait for a reader
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._numbers, self._waiting = itertools.count(1), {}
        self._pages, self._tasks = {}, set()
        self.faults: list[str] = []
        self._traced, self._trace_ended = [], threading.Event()
        self._session = self._alone = ""
        self._await(self._connect(address))
        target = self._await(self._call("Target.createTarget", url="about:blank"))
        attached = self._await(
            self._call("Target.attachToTarget", flatten=True, **target)
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "WebAuthn"):
            self.call(f"{domain}.enable")
        made = self.call("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
        self._authenticator = {"authenticatorId": made["authenticatorId"]}
        self._holder, self._passkeys = "", {}

    def _address(self):
        for line in self._process.stderr:
            found = re.search(rb"DevTools listening on (ws://\S+)", line)
            if found:
                return found[1].decode()
        raise AssertionError("chromium ended before it listened")

    async def _connect(self, address):
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(address, max_msg_size=0)
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self):
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            elif said["method"] == "Fetch.requestPaused":
                task = asyncio.create_task(self._serve(said["params"]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            elif said["method"] == "Tracing.dataCollected":
                self._traced += said["params"]["value"]
            elif said["method"] == "Tracing.tracingComplete":
                self._trace_ended.set()
            elif said["method"] == "Runtime.exceptionThrown":
                self.faults.append(json.dumps(said["params"]))
            elif said["method"] == "Log.entryAdded":
                entry = said["params"]["entry"]
                if entry["level"] == "error" and "favicon" not in entry.get("url", ""):
                    self.faults.append(entry["text"])

    async def _call(self, method, **params):
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        body = {"id": number, "method": method, "params": params}
        await self._socket.send_json(
            body | ({"sessionId": self._session} if self._session else {})
        )
        said = await asyncio.wait_for(self._waiting[number], LIMIT_SECONDS)
        assert "error" not in said, said
        return said["result"]

    def _await(self, coroutine):
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(LIMIT_SECONDS)

    def call(self, method, **params):
        """Return what a method of the protocol answers."""
        return self._await(self._call(method, **params))

    def run(self, script):
        """Return the value of a script of the page, awaited; as if a person clicked."""
        said = self.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def held_by(self, person):
        """Hand the machine to somebody, with their own passkeys in it."""
        held = self.call("WebAuthn.getCredentials", **self._authenticator)
        self._passkeys[self._holder] = held["credentials"]
        self.call("WebAuthn.clearCredentials", **self._authenticator)
        self._holder = person
        for one in self._passkeys.get(person, ()):
            self.call("WebAuthn.addCredential", credential=one, **self._authenticator)

    def open(self, address):
        """Show a page and wait until its script has run.

        The page before may stand for a while after the call; it is marked, so that it
        is not taken for this one, and asked nothing that it would have to wait with.
        """
        self.run("globalThis.isBefore = true")
        self.call("Page.navigate", url=address)
        for _ in range(int(LIMIT_SECONDS / 0.02)):
            with contextlib.suppress(AssertionError):  # there is no page for a moment
                if self.run("!globalThis.isBefore && !!document.body?.dataset.said"):
                    return
            time.sleep(0.02)
        raise AssertionError(f"{address} was not shown")

    def show_alone(self, address, mark, unset, rest_seconds=0.0):
        """Show a page in a process of its own, in place of the one that is shown.

        Waits until `mark`, of its body's data, says anything but `unset`. The browser
        rests before and after it is asked, so that it does nothing else meanwhile.
        """
        if self._alone:
            with self._of_browser():
                self.call("Target.closeTarget", targetId=self._alone)
        time.sleep(rest_seconds)
        with self._of_browser():
            made = self.call("Target.createTarget", url=address)
            time.sleep(rest_seconds)
            shown = self.call("Target.attachToTarget", flatten=True, **made)
        self._alone, self._session = made["targetId"], shown["sessionId"]
        ended = f"![undefined, {json.dumps(unset)}].includes"
        for _ in range(int(LIMIT_SECONDS / 0.02)):
            if self.run(f"{ended}(document.body?.dataset[{json.dumps(mark)}])"):
                return
            time.sleep(0.02)
        raise AssertionError(f"{address} was not shown")

    @contextlib.contextmanager
    def traced(self, category):
        """Give a list of what the browser tells of a category meanwhile, at the end."""
        told = list[dict]()
        self._traced, self._trace_ended = told, threading.Event()
        asked = {"includedCategories": [category], "excludedCategories": ["*"]}
        with self._of_browser():
            self.call("Tracing.start", transferMode="ReportEvents", traceConfig=asked)
        yield told
        with self._of_browser():
            self.call("Tracing.end")
        assert self._trace_ended.wait(LIMIT_SECONDS)

    @contextlib.contextmanager
    def _of_browser(self):
        """Call the browser itself meanwhile, not the page."""
        session, self._session = self._session, ""
        yield
        self._session = session

    def saved(self, folder):
        """Save what pages offer in a folder, and return a wait for a file's bytes."""
        self.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=str(folder),
            eventsEnabled=False,
        )

        def wait(name):
            for _ in range(1000):
                if (folder / name).exists():
                    return folder / name
                time.sleep(0.02)
            raise AssertionError(f"{name} was not saved")

        return wait

    def show_as(self, address, page):
        """Show a page as if a server had sent it from that address."""
        self._pages[address] = page
        self.call("Fetch.enable", patterns=[{"urlPattern": address}])
        self.open(address)
        self.call("Fetch.disable")

    async def _serve(self, request):
        page = self._pages[request["request"]["url"]]
        await self._call(
            "Fetch.fulfillRequest",
            requestId=request["requestId"],
            responseCode=200,
            responseHeaders=[{"name": "Content-Type", "value": "text/html"}],
            body=base64.b64encode(page).decode(),
        )

    def sign(self):
        """Press the button and return what the page says of it, and in which words."""
        return self.run(
            """new Promise((done) => {
              document.querySelector("article:not([hidden]) .sign").click();
              const look = () => document.body.dataset.said === "signing"
                ? setTimeout(look, 20)
                : done([document.body.dataset.said,
                        document.querySelector("article:not([hidden])").innerText]);
              look();
            })"""
        )

    def close(self):
        async def end():
            self._listener.cancel()
            await self._socket.close()
            await self._http.close()

        with contextlib.suppress(Exception):
            self._await(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_SECONDS)
        self._loop.close()
        self._process.terminate()
        self._process.wait(LIMIT_SECONDS)
        self._reader.join(LIMIT_SECONDS)
        self._process.stderr.close()
