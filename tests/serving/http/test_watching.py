"""What others see of a server: metrics, its description, the stream of fixes."""

import asyncio
import json
import re
from collections import Counter

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from radiofix.serving.http.app import create_app
from radiofix.serving.http.bodies import JSON
from radiofix.serving.http.limits import Limits
from radiofix.serving.http.security import SameMachine, Tokens
from radiofix.serving.http.streaming import BACKLOG, Broadcast
from serving.http.server import HERE, ask, asked, posted, refused, service_of
from serving.http.test_limits import CSI, GOOD
from serving.http.test_security import TOKEN

STREAM = "ws://127.0.0.1/v1/fixes"


def counted(text, name):
    """Of a metric, by its labels."""
    lines = re.findall(rf"^{name}(\{{.*?\}})? (\S+)$", text, flags=re.MULTILINE)
    return {labels: float(value) for labels, value in lines}


def test_metrics_count_requests_fixes_links_and_calls():
    service = service_of(Limits(batch_seconds=0.1))

    async def work():
        async with asked(service) as client:
            good = [client.request(**posted(GOOD)) for _ in range(3)]
            await asyncio.gather(*good, client.request(**posted(b"bad")))
            await client.get("/nowhere")
            return (await client.get("/metrics")).text

    text = asyncio.run(work())
    requests = counted(text, "radiofix_requests_total")
    assert requests['{path="/v1/locate",status="200"}'] == 3
    assert requests['{path="/v1/locate",status="400"}'] == 1
    assert requests['{path="other",status="404"}'] == 1
    assert sum(counted(text, "radiofix_fixes_total").values()) == 9
    assert counted(text, "radiofix_model_calls_total") == {"": 1}
    assert counted(text, "radiofix_batch_links_sum") == {"": 9}
    assert counted(text, "radiofix_request_seconds_count")['{path="/v1/locate"}'] == 4
    assert counted(text, "radiofix_queue_links") == {"": 0}


def test_the_examples_of_openapi_are_answered_as_it_says():
    service = service_of()
    described = ask(service, {"method": "GET", "url": "/openapi.json"})[0].json()
    post = described["paths"]["/v1/locate"]["post"]
    examples = post["requestBody"]["content"][JSON]["examples"]
    assert len(examples) == 2
    schemas = described["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)):
        assert name in schemas
    for example in examples.values():
        sent = example["value"]
        assert sent.keys() <= schemas["LocateRequest"]["properties"].keys()
        (response,) = ask(service_of(), posted(sent, JSON))
        assert response.status_code == 200, response.text
        assert response.json().keys() == schemas["LocateAnswer"]["properties"].keys()
        for fix in response.json()["fixes"]:
            assert fix.keys() == schemas["FixMade"]["properties"].keys()
            assert np.isfinite(fix["position"]).all()


def test_no_page_of_another_server_is_needed():
    for path in ("/docs", "/redoc"):
        refused(ask(service_of(), {"method": "GET", "url": path})[0], 404)


def test_a_listener_gets_each_fix_once():
    app = create_app(service_of(), SameMachine())
    with TestClient(app, base_url=HERE) as client, client.websocket_connect(STREAM) as socket:
        with client.websocket_connect(STREAM) as other:
            for number in range(5):
                request = posted({**GOOD, "user": np.arange(3) + 10 * number})
                assert client.request(**request).status_code == 200
            for one in (socket, other):
                told = [one.receive_json() for _ in range(5)]
                users = Counter(fix["user"] for message in told for fix in message["fixes"])
                assert users == Counter(u + 10 * n for n in range(5) for u in range(3))
                assert all(0 < message["seconds"] < 60 for message in told)
                assert len({message["number"] for message in told}) == 5
        # One has gone; the other still listens.
        client.request(**posted({**GOOD, "user": np.array([7, 8, 9])}))
        assert [fix["user"] for fix in socket.receive_json()["fixes"]] == [7, 8, 9]


def test_the_stream_is_as_closed_as_the_rest():
    app = create_app(service_of(Limits(listeners=1)), Tokens((TOKEN,)))
    with TestClient(app, base_url=HERE) as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(STREAM):
            pass
        by_header = {"headers": {"Authorization": f"Bearer {TOKEN}"}}
        by_browser = {"subprotocols": [f"bearer.{TOKEN}"]}
        for way in (by_header, by_browser):
            with (
                client.websocket_connect(STREAM, **way),
                pytest.raises(WebSocketDisconnect),
                client.websocket_connect(STREAM, **by_header),
            ):
                pass


def test_who_listens_too_slowly_misses_the_oldest_and_is_told():
    async def slow():
        broadcast = Broadcast(1)
        with broadcast.listeners.listener() as listener:
            for _ in range(BACKLOG + 3):
                broadcast.tell(b"[]", 0.1)
            return [json.loads(await listener.next()) for _ in range(BACKLOG + 1)]

    first, *others = asyncio.run(slow())
    assert first == {"missed": 3}
    assert [message["number"] for message in others] == list(range(4, BACKLOG + 4))


def test_links_that_nobody_heard_are_answered_too():
    (response,) = ask(service_of(), posted({**GOOD, "csi": np.zeros_like(CSI)}))
    assert [fix["position"] for fix in response.json()["fixes"]] == [None] * 3
