"""The live map's files: that they are whole, sealed, and what their sources make."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from radiofix.serving.http.pages import page_files
from radiofix.serving.http.security import Tokens
from serving.http.server import ask, refused, service_of
from serving.http.test_security import TOKEN

ROOT = Path(__file__).parents[3]
SOURCES, BUNDLE = ROOT / "web", ROOT / "src/radiofix/serving/web"
LEFT_OUT = {"node_modules", "README.md"}
STAMP = "built.json"


def digests(folder, left_out):
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        path.as_posix(): hashlib.sha256((folder / path).read_bytes()).hexdigest()
        for path in files
        if path.parts[0] not in left_out
    }


def get(path, **headers):
    return {"method": "GET", "url": path, "headers": headers}


def test_the_bundle_is_what_the_sources_make():
    """Who changes web/ runs `npm run build` there; who changes the bundle, changes web/."""
    built = json.loads((BUNDLE / STAMP).read_text())
    assert built["sources"] == digests(SOURCES, LEFT_OUT)
    assert built["bundle"] == digests(BUNDLE, {STAMP})


def test_the_page_is_small_and_asks_nobody_else():
    files = page_files()
    assert sum(len(file.content) for file in files.values()) < 1.5e6
    for path, file in files.items():
        if path.endswith((".svg", ".txt")):
            continue
        elsewhere = re.findall(rb"""(?:https?:)?//[a-z0-9][\w.-]+\.\w+[^\s"'`)]*""", file.content)
        # Names of XML's kinds are no addresses that anybody asks.
        assert {*elsewhere} <= {b"http://www.w3.org/2000/svg"}, path
    assert "Apache-2.0" in files["/LICENCES.txt"].content.decode()


def test_every_file_that_the_page_names_is_served():
    files = page_files()
    named = re.findall(r'(?:src|href)="\./([^"]+)"', files["/"].content.decode())
    assert len(named) >= 4
    assert {f"/{name}" for name in named} == {*files} - {"/"}


def test_files_are_sent_as_what_they_are_and_sealed():
    files = page_files()
    for response, path in zip(ask(service_of(), *map(get, files)), files, strict=True):
        assert response.status_code == 200
        assert response.content == files[path].content
        assert response.headers["x-content-type-options"] == "nosniff"
        policy = dict(
            rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; ")
        )
        assert policy.pop("default-src") == "'none'"
        assert {*policy.values()} == {"'self'", "'none'"}
        assert (policy["script-src"], policy["connect-src"]) == ("'self'", "'self'")
        kind = response.headers["content-type"].partition(";")[0]
        suffix = Path(path).suffix or ".html"
        assert (
            kind
            == {
                ".html": "text/html",
                ".js": "text/javascript",
                ".css": "text/css",
                ".svg": "image/svg+xml",
                ".txt": "text/plain",
            }[suffix]
        )


def test_what_cannot_change_is_kept_and_the_rest_is_asked_for_again():
    script = next(path for path in page_files() if path.endswith(".js"))
    page, asset = ask(service_of(), get("/"), get(script))
    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in asset.headers["cache-control"]
    same = {"If-None-Match": page.headers["etag"]}
    other = {"If-None-Match": asset.headers["etag"]}
    unchanged, changed = ask(service_of(), get("/", **same), get("/", **other))
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200


@pytest.mark.parametrize(
    "path", ["/built.json", "/assets/", "/assets/../app.py", "/web/index.html"]
)
def test_nothing_else_is_served(path):
    assert ask(service_of(), get(path))[0].status_code == 404


def test_the_page_is_open_and_what_it_shows_is_not():
    """It has to be there to ask for a token."""
    paths = [*page_files(), "/v1/map", "/v1/channels?user=1"]
    responses = ask(service_of(), *map(get, paths), guard=Tokens((TOKEN,)))
    for path, response in zip(paths, responses, strict=True):
        if path.startswith("/v1/"):
            refused(response, 401)
        else:
            assert response.status_code == 200
