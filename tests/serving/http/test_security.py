"""Tokens, and who may ask without one."""

import hmac

import pytest

from radiofix.serving.http import security
from radiofix.serving.http.security import SameMachine, Tokens, guard_of, is_loopback
from serving.http.server import ask, refused, service_of

TOKEN, OTHER = "a-token-of-some-length", "another-token-of-length"


def get(path="/v1/models", **headers):
    return {"method": "GET", "url": path, "headers": headers}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        ("", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {OTHER}", 200),
    ],
)
def test_only_a_known_token_is_let_in(given, status):
    headers = {} if given is None else {"Authorization": given}
    guard = Tokens((TOKEN, OTHER))
    closed, health = ask(service_of(), get(**headers), get("/healthz", **headers), guard=guard)
    assert health.status_code == 200
    assert closed.status_code == status
    if status == 401:
        assert "Authorization: Bearer" in refused(closed, 401)
        assert closed.headers["WWW-Authenticate"].startswith("Bearer")


def test_tokens_are_compared_in_constant_time_and_all_of_them(monkeypatch):
    seen, compare = [], hmac.compare_digest

    def counted(one, other):
        seen.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(security.hmac, "compare_digest", counted)
    guard = Tokens((TOKEN, OTHER, "a-third-token-of-length"))
    for given in (TOKEN, OTHER, "x"):
        scope = {"headers": [(b"authorization", f"Bearer {given}".encode())]}
        assert (guard.refusal(scope) is None) == (given != "x")
    # Every token each time, as digests of one length.
    assert seen == [(32, 32)] * 9


def test_strange_names_and_strange_pages_are_kept_from_a_server_without_tokens():
    """A page of the web whose name was made to point here, or that opens a WebSocket."""
    (response,) = ask(service_of(), get(Host="evil.example:8080"))
    assert "127.0.0.1" in refused(response, 421)
    for host in (b"localhost:8080", b"127.0.0.1", b"[::1]:8080"):
        scope = {"type": "websocket", "headers": [(b"host", host)]}
        assert SameMachine().refusal(scope) is None
        scope["headers"].append((b"origin", b"http://evil.example"))
        assert SameMachine().refusal(scope).status == 403
        scope["headers"][1] = (b"origin", b"http://" + host)
        assert SameMachine().refusal(scope) is None


def test_an_address_that_others_reach_needs_tokens(tmp_path):
    for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost"):
        assert is_loopback(host)
        assert isinstance(guard_of(host, None), SameMachine)
    for host in ("0.0.0.0", "::", "192.168.1.4", "example.com", "127.0.0.1.example.com"):
        with pytest.raises(ValueError, match="--tokens"):
            guard_of(host, None)
    path = tmp_path / "tokens"
    path.write_text(f"# of the lab\n{TOKEN}\n\n{OTHER}\n")
    assert isinstance(guard_of("0.0.0.0", path), Tokens)
    for content in ("", "# none\n", "short\n", "with spaces in its middle\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match="token"):
            guard_of("0.0.0.0", path)
    with pytest.raises(ValueError, match="cannot be read"):
        guard_of("0.0.0.0", tmp_path / "none")
