"""Whatever is sent, it is answered or refused in a line; ten thousand are `malformed.py`'s."""

import asyncio
from collections import Counter

from serving.http.malformed import GOOD, LIMITS, Malformed, wrong
from serving.http.server import asked, posted, service_of

REQUESTS = 400


def test_nothing_that_is_sent_makes_the_server_fail():
    source = Malformed(seed=1, file_share=0.02)
    requests = [source.request() for _ in range(REQUESTS)]

    async def all_of_them():
        async with asked(service_of(LIMITS)) as client:
            found = [await client.request(**request) for request in requests]
            return found, await client.request(**posted(GOOD))

    responses, good = asyncio.run(all_of_them())
    assert [(n, found) for n, r in enumerate(responses) if (found := wrong(r))] == []
    assert good.status_code == 200
    # A fuzzer that is refused at the door tries nothing.
    statuses = Counter(response.status_code for response in responses)
    assert {200, 400, 415, 422} <= {*statuses}
    assert statuses[422] > REQUESTS / 10
    assert statuses[200] > REQUESTS / 40
