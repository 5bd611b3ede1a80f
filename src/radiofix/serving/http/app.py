"""The application: paths, what OpenAPI says of them, and what stands before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException

from radiofix.models.pretrained import names
from radiofix.serving.http.answers import stations_told
from radiofix.serving.http.bodies import ARROW, FILES, JSON, NPZ
from radiofix.serving.http.metrics import CONTENT_TYPE, Counted
from radiofix.serving.http.pages import File, page_files
from radiofix.serving.http.refusals import (
    PROBLEM,
    Refusal,
    tell_failure,
    tell_query,
    tell_refusal,
    tell_routing,
)
from radiofix.serving.http.schemas import (
    EXAMPLES,
    QUERY,
    ChannelAnswer,
    ChannelAsked,
    Health,
    LocateAnswer,
    LocateRequest,
    MapAnswer,
    ModelsAnswer,
    Problem,
    StationsAnswer,
)
from radiofix.serving.http.security import OPEN, Guard, Guarded
from radiofix.serving.http.service import Service
from radiofix.serving.http.shedding import Shedding
from radiofix.serving.http.streaming import stream
from radiofix.version import __version__

REFUSALS = {
    400: "The body cannot be read",
    401: "No token, or one that is not known",
    408: "The body did not come in time",
    413: "The body or the number of links is too large",
    415: "The media type is not taken",
    422: "The body says what makes no sense, or does not suit the model",
    503: "The queue is full: come again after Retry-After seconds",
}
MISSING = {
    401: REFUSALS[401],
    404: "Of this user or this fix no channel is kept",
    422: "Neither a user, nor a request and a row",
}
LOCATE, CHANNELS, MAP = "/v1/locate", "/v1/channels", "/v1/map"
PATHS = (
    LOCATE,
    CHANNELS,
    MAP,
    "/v1/models",
    "/v1/stations",
    "/metrics",
    "/healthz",
    "/openapi.json",
    "/",
)
"""That are counted by name."""
SCHEMAS = "#/components/schemas/{model}"
Companion = Callable[[Service], Coroutine[Any, Any, None]]
"""What runs beside the answers for as long as there are any."""


def create_app(service: Service, guard: Guard, companions: Sequence[Companion] = ()) -> FastAPI:
    """The application of one service behind a guard."""
    files = page_files()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running(), _beside(service, companions):
            yield

    # The pages of FastAPI's documentation load scripts from elsewhere: this server serves none.
    app = FastAPI(
        title="radiofix",
        version=__version__,
        description="Radio channels into positions.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    _add_paths(app, service)
    _add_files(app, files)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # FastAPI's own way
    app.add_exception_handler(Refusal, tell_refusal)
    app.add_exception_handler(HTTPException, tell_routing)
    app.add_exception_handler(RequestValidationError, tell_query)
    app.add_exception_handler(Exception, tell_failure)
    # The last one added stands first: strangers are kept out before there is talk of room.
    app.add_middleware(Shedding, path=LOCATE, expect_room=service.expect_room)
    # The page holds no secret, and asks for the token itself.
    app.add_middleware(Guarded, guard=guard, open_paths=(*OPEN, *files))
    app.add_middleware(Counted, metrics=service.metrics, paths=PATHS)
    return app


@asynccontextmanager
async def _beside(service: Service, companions: Sequence[Companion]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(companion(service)) for companion in companions]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _add_files(app: FastAPI, files: dict[str, File]) -> None:
    def sender(file: File) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def send(request: Request) -> Response:
            return file.response(request)

        return send

    for path, file in files.items():
        app.add_api_route(path, sender(file), methods=["GET", "HEAD"], include_in_schema=False)


def _add_paths(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", summary="Whether requests are answered")
    async def healthz() -> Health:
        return Health(status="ok", model=service.name, version=__version__)

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/v1/models", summary="The model that answers, and what comes with radiofix")
    async def models() -> ModelsAnswer:
        return ModelsAnswer.model_validate({"models": _models(service)})

    @app.get("/v1/stations", summary="The server's stations, in order")
    async def stations() -> StationsAnswer:
        return StationsAnswer.model_validate(stations_told(service.site))

    @app.get(MAP, summary="Buildings round the stations, for maps", response_model=MapAnswer)
    async def scene() -> Response:
        return Response(service.map, media_type=JSON)

    @app.get(
        CHANNELS,
        summary="A latest channel as pictures: magnitude, and power over azimuth and delay",
        response_model=ChannelAnswer,
        responses={status: _refusal(text) for status, text in MISSING.items()},
    )
    async def channels(asked: Annotated[ChannelAsked, Query()]) -> Response:
        return Response(await service.channel(asked.key), media_type=JSON)

    @app.post(
        LOCATE,
        summary="Where the users of some CSI are",
        response_model=LocateAnswer,
        responses={status: _refusal(text) for status, text in REFUSALS.items()},
        openapi_extra={"requestBody": _bodies(), "parameters": QUERY},
    )
    async def locate(request: Request) -> Response:
        return Response(await service.locate(request), media_type=JSON)

    @app.websocket("/v1/fixes")
    async def fixes(socket: WebSocket) -> None:
        await stream(socket, service.broadcast.listeners)

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        await stream(socket, service.live.viewers)


def _models(service: Service) -> list[dict[str, Any]]:
    own = service.engine
    serving = {"serving": True, "parameters": own.parameters, "engine": own.told}
    idle = {"serving": False, "parameters": None, "engine": None}
    others = [name for name in names() if name != own.name]
    return [{"name": own.name, **serving}, *({"name": name, **idle} for name in others)]


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": SCHEMAS.format(model=Problem.__name__)}
    return {"description": text, "content": {PROBLEM: {"schema": schema}}}


def _bodies() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    schema = {"$ref": SCHEMAS.format(model=LocateRequest.__name__)}
    return {
        "required": True,
        "description": "The same names in all of them; docs/serving.md has the names.",
        "content": {
            JSON: {"schema": schema, "examples": EXAMPLES},
            **dict.fromkeys((NPZ, ARROW, *FILES), binary),
        },
    }


def _described(app: FastAPI) -> dict[str, Any]:
    """OpenAPI's description, with the schemas that no signature names."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        known = described["components"]["schemas"]
        for model in (LocateRequest, Problem):
            schema = model.model_json_schema(ref_template=SCHEMAS)
            known.update(schema.pop("$defs", {}))
            known[model.__name__] = schema
        app.openapi_schema = described
    return app.openapi_schema
