"""The live map as people meet it: in a browser, by eye, by key and by thumb."""

from __future__ import annotations

import base64
import importlib.util
import shutil
import socket
import threading
import time
from contextlib import contextmanager

import httpx2
import numpy as np
import pytest
import torch
import uvicorn

from radiofix.data.store import open_paths
from radiofix.demo.replay import STORE
from radiofix.serving.engines import Engine
from radiofix.serving.http.app import create_app
from radiofix.serving.http.background import model_thread
from radiofix.serving.http.scene import Scene
from radiofix.serving.http.security import SameMachine, Tokens
from radiofix.serving.http.service import Service
from radiofix.serving.sites import Site
from radiofix.types import Station
from serving.http.server import npz, posted
from serving.http.test_limits import CSI, GOOD
from serving.http.test_security import TOKEN
from serving.walks import small_model, write_hdf5, write_mat

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HERE = (1440, 900)
PHONE = (360, 740)
SECONDS = 60_000
"""For a machine that has other things to do [ms]."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="no playwright: pip install it"
    ),
]

SENT = {
    **GOOD,
    "user": np.array([3, 4, 5]),
    "user_position": np.array([[1.0, 2.0, 1.5], [3.0, 4.0, 1.5], [5.0, 6.0, 1.5]]),
}
NAME = (
    "e => e === document.body ? 'page' : e.id || (e.querySelector('.name') ?? e).textContent.trim()"
)
"""Of what has the focus: behind the last control it is the page itself."""
STRANGE = "<b id=strange>roof</b>"


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        # Root, as containers have it, may start no sandbox.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served(guard=None, port=0):
    """A server in a thread, and its address."""
    store = open_paths(STORE)
    roof = Station(torch.tensor([262.0, 600.0, 6.0]), torch.zeros(3), 3.5e9, STRANGE)
    scene = Scene(Site((*store.stations, roof)), store.map, np.array([[242.0, 480], [278, 760]]))
    engine = Engine("small", small_model(), "a test")
    app = create_app(Service(engine, scene, worker=model_thread(1)), guard or SameMachine())
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@contextmanager
def page(chromium, url, size=HERE, **options):
    """The page, of which no word is an error and which asks its own server alone."""
    width, height = size
    context = chromium.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(SECONDS)
    opened = context.new_page()
    wrong, asked = [], []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    opened.on("request", lambda request: asked.append(request.url))
    opened.wrong = wrong
    try:
        opened.goto(url)
        yield opened
        assert asked
        assert all(address.startswith(url) for address in asked)
        assert wrong == []
    finally:
        context.close()


def send(url, **changed):
    response = httpx2.request(**{**posted({**SENT, **changed}), "url": f"{url}/v1/locate"})
    assert response.status_code == 200, response.text


def live(opened):
    opened.wait_for_selector('#link[data-state="quiet"], #link[data-state="open"]')


def ground(opened):
    """The lower canvas as it is drawn; each call waits for what was asked to be drawn."""
    drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    opened.evaluate(drawn)
    return opened.evaluate("document.getElementById('ground').toDataURL()")


def changes(opened, before):
    """The ground, once it is drawn otherwise."""
    deadline = time.monotonic() + SECONDS / 1000
    while (now := ground(opened)) == before:
        assert time.monotonic() < deadline, "nothing has moved"
    return now


@pytest.fixture(scope="module")
def url():
    with served() as address:
        yield address


def test_fixes_are_seen_named_and_compared_with_the_truth(chromium, url):
    with page(chromium, url) as opened:
        live(opened)
        opened.wait_for_selector("#empty:not([hidden])")
        assert "No fix yet" in opened.inner_text("#empty")
        assert opened.inner_text("#model") == "small"
        send(url)
        opened.wait_for_selector("#user-list button >> nth=2")
        rows = opened.locator("#user-list button")
        assert [name.split("\n")[0] for name in rows.all_inner_texts()] == [
            "User 3",
            "User 4",
            "User 5",
        ]
        opened.wait_for_selector("#errors-known:not([hidden])")
        assert "(3 fixes)" in opened.inner_text("#errors-told")
        assert opened.locator("#empty").is_hidden()
        # Somebody is looked at from the start, channel and all.
        assert opened.inner_text("#chosen-title") == "User 3"
        opened.wait_for_selector("#channel-pictures:not([hidden])")
        assert "8 antennas \N{MULTIPLICATION SIGN} 16 subcarriers" in opened.inner_text(
            "#channel-told"
        )
        sizes = opened.evaluate(
            "['magnitude', 'profile'].map(id => document.getElementById(id))"
            ".map(canvas => [canvas.width, canvas.height])"
        )
        assert sizes == [[16, 8], [128, 91]]
        opened.click("#user-list button >> nth=1")
        assert opened.inner_text("#chosen-title") == "User 4"
        assert opened.inner_text("#chosen-weights").split() == ["0", "100", "%"]


def test_names_of_strangers_are_text_and_nothing_else(chromium, url):
    with page(chromium, url) as opened:
        live(opened)
        names = [*(f"station {n}" for n in range(4)), STRANGE]
        lacking = {k: v for k, v in SENT.items() if not k.startswith(("station", "carrier"))}
        heard = np.repeat(CSI[:, None], 5, 1)
        body = npz(**{**lacking, "csi": heard, "user": np.array([30, 31, 32])})
        kind = {"Content-Type": "application/x-npz"}
        address = f"{url}/v1/locate"
        assert httpx2.post(address, content=body, headers=kind).status_code == 200
        opened.click("text=User 31")
        opened.wait_for_selector(f"#channel-stations button >> nth={len(names) - 1}")
        assert STRANGE in opened.locator("#channel-stations button").all_inner_texts()
        assert opened.locator("#strange").count() == 0


def test_everything_can_be_done_by_keys(chromium, url):
    with page(chromium, url, reduced_motion="reduce") as opened:
        live(opened)
        send(url)
        opened.wait_for_selector("#user-list button >> nth=2")
        reached = {}
        for _ in range(60):
            opened.keyboard.press("Tab")
            name, outline = opened.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e);"
                " const shown = e.matches('.pick input')"
                " ? getComputedStyle(e.nextElementSibling) : s;"
                f" return [({NAME})(e), shown.outlineStyle + shown.outlineWidth]}})()"
            )
            if name == "page" or name in reached:
                break
            reached[name] = outline
        controls = opened.evaluate(
            "[...document.querySelectorAll('button, input, a, summary, canvas[tabindex]')]"
            f".filter(e => e.checkVisibility()).map({NAME})"
        )
        assert {*controls} <= {*reached}
        assert {name for name, outline in reached.items() if outline != "solid3px"} == set()
        opened.focus("#people")
        drawn = ground(opened)
        for key in ("ArrowLeft", "ArrowUp", "+", "-", "q", "t", "n", "0"):
            opened.keyboard.press(key)
            drawn = changes(opened, drawn)
        opened.keyboard.press("Escape")
        opened.wait_for_selector("#chosen-none:not([hidden])")
        opened.focus("#user-list button >> nth=2")
        opened.keyboard.press("Enter")
        assert opened.inner_text("#chosen-title") == "User 5"


def test_the_map_is_moved_zoomed_and_asked_by_a_pointer(chromium, url):
    with page(chromium, url) as opened:
        live(opened)
        send(url)
        opened.wait_for_selector("#user-list button >> nth=2")
        drawn = ground(opened)
        box = opened.locator("#people").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        opened.mouse.move(x, y)
        opened.mouse.down()
        opened.mouse.move(x + 90, y + 30, steps=3)
        opened.mouse.up()
        drawn = changes(opened, drawn)
        opened.mouse.wheel(0, -240)
        drawn = changes(opened, drawn)
        # What is followed stands in the middle, where a press finds it.
        opened.click("#user-list button >> nth=1")
        opened.click("#follow")
        drawn = changes(opened, drawn)
        opened.focus("#people")
        opened.keyboard.press("Escape")
        opened.wait_for_selector("#chosen-none:not([hidden])")
        opened.mouse.click(x, y)
        assert opened.inner_text("#chosen-title") == "User 4"


def test_it_fits_a_phone(chromium, url):
    with page(chromium, url, PHONE, has_touch=True) as opened:
        live(opened)
        send(url)
        opened.wait_for_selector("#channel-pictures:not([hidden])")
        assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        for part in opened.locator("button:visible").all():
            box = part.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= PHONE[0]
            assert min(box["width"], box["height"]) >= 24
        assert opened.locator("#people").bounding_box()["height"] >= 250


def background(opened):
    return opened.evaluate("getComputedStyle(document.body).backgroundColor")


def test_light_and_dark_follow_the_system_until_the_button_is_pressed(chromium, url):
    seen = {}
    for scheme in ("light", "dark"):
        with page(chromium, url, color_scheme=scheme) as opened:
            live(opened)
            seen[scheme] = background(opened), ground(opened)
            opened.click("#theme")
            other = background(opened), changes(opened, seen[scheme][1])
            seen[f"{scheme}, pressed"] = other
            opened.reload()
            assert background(opened) == other[0]
    assert seen["light"][0] == seen["dark, pressed"][0] != seen["dark"][0]
    assert seen["light, pressed"][0] == seen["dark"][0]


def test_who_wants_less_motion_gets_none(chromium, url):
    with page(chromium, url, reduced_motion="reduce") as opened:
        live(opened)
        assert opened.evaluate("document.getAnimations().length") == 0
        before = ground(opened)
        opened.click("#tilt")
        tilted = changes(opened, before)
        time.sleep(0.3)
        assert ground(opened) == tilted


def test_a_token_is_asked_for_and_kept_nowhere(chromium):
    with served(Tokens((TOKEN,))) as url, page(chromium, url) as opened:
        opened.wait_for_selector("#lock:not([hidden])")
        opened.fill("#token", "a-token-that-is-wrong")
        opened.keyboard.press("Enter")
        opened.wait_for_selector("text=does not know this token")
        opened.fill("#token", TOKEN)
        opened.click("#lock button")
        live(opened)
        assert opened.locator("#lock").is_hidden()
        kept = opened.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie,"
            " document.documentElement.outerHTML, document.getElementById('token').value])"
        )
        assert TOKEN not in kept
        opened.reload()
        opened.wait_for_selector("#lock:not([hidden])")
        # The refusals of what was asked without a token are no errors of the page.
        assert all("401" in said for said in opened.wrong)
        opened.wrong.clear()


def test_a_lost_server_is_told_and_found_again(chromium):
    with served() as url:
        port = int(url.rpartition(":")[2])
        context = page(chromium, url)
        opened = context.__enter__()
        live(opened)
        send(url)
        opened.wait_for_selector("#user-list button >> nth=2")
    opened.wait_for_selector("#lost:not([hidden])")
    assert opened.inner_text("#link-told") == "Not connected"
    assert "Trying again" in opened.inner_text("#lost-told")
    with served(port=port) as url:
        opened.click("#again")
        live(opened)
        assert opened.locator("#lost").is_hidden()
        # Who was known before still is.
        assert opened.locator("#user-list button").count() == 3
        opened.wrong.clear()
        context.__exit__(None, None, None)


def offered(name, arrays):
    return {"name": name, "mimeType": "application/octet-stream", "buffer": npz(**arrays)}


def test_a_file_that_is_dropped_is_located(chromium, url, tmp_path):
    with page(chromium, url) as opened:
        live(opened)
        lacking = {k: v for k, v in GOOD.items() if k != "bandwidth"}
        opened.set_input_files("#file-input", offered("walk.npz", lacking))
        opened.wait_for_selector("#file-told.wrong")
        assert "bandwidth" in opened.inner_text("#file-told")
        # The refusal of this file is no error of the page.
        assert all("422" in said for said in opened.wrong)
        opened.wrong.clear()
        opened.click("text=If the file does not say so")
        opened.fill("#file-bandwidth", "20")
        opened.set_input_files("#file-input", offered("walk.npz", lacking))
        opened.wait_for_selector("#file-list button >> nth=2")
        assert opened.inner_text("#file-told").startswith("walk.npz: 3 fixes")
        opened.click("#file-list button >> nth=1")
        assert opened.inner_text("#chosen-title") == "Row 1 of the file"
        opened.wait_for_selector("#channel-pictures:not([hidden])")
        opened.click("#file-clear")
        assert opened.locator("#file-list button").count() == 0
        body = base64.b64encode(npz(**GOOD)).decode()
        opened.evaluate(
            "body => { const bytes = Uint8Array.from(atob(body), c => c.charCodeAt(0));"
            " const dropped = new DataTransfer();"
            " dropped.items.add(new File([bytes], 'dropped.npz'));"
            " const drop = kind => document.body.dispatchEvent("
            "   new DragEvent(kind, {dataTransfer: dropped, bubbles: true, cancelable: true}));"
            " drop('dragover'); drop('drop'); }",
            body,
        )
        opened.wait_for_selector("text=dropped.npz: 3 fixes")
        assert opened.locator("#veil").is_hidden()
        for name, write in (("walk.h5", write_hdf5), ("walk.mat", write_mat)):
            body = write(tmp_path / name, GOOD).read_bytes()
            opened.set_input_files("#file-input", {**offered(name, {}), "buffer": body})
            opened.wait_for_selector(f"text={name}: 3 fixes")
        opened.set_input_files("#file-input", {**offered("photo.jpg", {}), "name": "photo.jpg"})
        opened.wait_for_selector("text=photo.jpg is none of .npz, .npy, .mat")
