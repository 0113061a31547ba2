"""``/api/v1``: restore photos by HTTP. Jobs go on when the client leaves; whoever has a job's name can come back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from likeness import __version__
from likeness.photo.formats import FORMAT_OF_SUFFIX
from likeness.web.ask import Ask, parse_wanted
from likeness.web.bundle import bundle
from likeness.web.engine import Engine
from likeness.web.jobs import ENDED, Job
from likeness.web.refusal import Refused
from likeness.web.uploads import Upload


class Order(BaseModel):
    """The fields of a job beside its files; ``settings`` of ``POST /api/v1/restore``, as JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    methods: list[str] = Field(["likeness"], description="Methods, each as NAME or NAME:option=number,option=number.")
    faces: dict[str, list[int]] = Field({}, description="For a photo's position (from 0) the numbers of its faces.")
    seed: int = 0
    samples: int = 1
    blend: float = 1.0
    scale: int = Field(1, description="1, 2 or 4: enlarge the whole picture.")
    upscaler: str = "lanczos"
    detector: str = "dlib"
    mask: str = Field("feathered", description="What is pasted: feathered, parsing or parsing-square.")
    aligned: bool = Field(False, description="The photos are ready 512x512 crops.")
    identity_limit: float | None = Field(None, description="Keep the photo's own face beyond this distance.")


def add_api(app: FastAPI, engine: Engine) -> None:
    """Put the routes before ``engine``."""
    routes = APIRouter(prefix="/api/v1", tags=["v1"])

    @app.exception_handler(Refused)
    def refused(request: Request, refusal: Refused) -> JSONResponse:
        headers = {"retry-after": "30"} if refusal.status == 429 else {}
        return JSONResponse({"error": refusal.message}, refusal.status, headers)

    @app.exception_handler(HTTPException)
    def problem(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code)

    @app.exception_handler(RequestValidationError)
    def wrong(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"}, 400)

    @routes.get("/health")
    def health() -> dict[str, Any]:
        """Whether the server can work, and its limits."""
        limits = {name: value for name, value in vars(engine.limits).items() if name != "memory_bytes"}
        return {"likeness": __version__, "problem": engine.too_small, "limits": limits}

    @routes.get("/methods")
    def methods() -> list[dict[str, Any]]:
        """The methods, their options, and what stands in the way of those that cannot be used here."""
        return [offer.as_dict() for offer in engine.methods()]

    @routes.post("/restore", status_code=202)
    def restore(
        photos: Annotated[list[UploadFile], File(description="One or more photographs.")],
        references: Annotated[list[UploadFile] | None, File(description="Photos of the same person.")] = None,
        hole: Annotated[UploadFile | None, File(description="For inpainting one photo: white is to fill.")] = None,
        settings: Annotated[str, Form(description="JSON; see the schema Order.")] = "{}",
    ) -> dict[str, Any]:
        """Queue a job; answers 202 with its name and where to look. 429 says that the queue is full."""
        order = _order(settings)
        if engine.too_small:
            raise Refused(503, engine.too_small)
        count, limit = len(photos) + len(references or ()), engine.limits.photos
        if count > limit:
            raise Refused(413, f"{count} photos are more than the limit of {limit}")
        engine.jobs.room()
        taken = [_take(engine, one) for one in photos]
        ask = Ask(
            photos=tuple(taken),
            methods=parse_wanted(order.methods),
            faces={_at(taken, position).id: tuple(numbers) for position, numbers in order.faces.items()},
            references=tuple(_take(engine, one) for one in references or ()),
            mask=None if hole is None else _take(engine, hole),
            face_mask=order.mask,
            **order.model_dump(exclude={"methods", "faces", "mask"}),
        )
        return _shown(engine, engine.submit(ask))

    @routes.get("/jobs/{job}")
    def look(job: str) -> dict[str, Any]:
        """How far a job is, and what came of it: records of photos and faces, and the names of its files."""
        return _shown(engine, engine.jobs.get(job))

    @routes.delete("/jobs/{job}")
    def cancel(job: str) -> dict[str, Any]:
        """Stop a job: at once when it waits, at its next step when it runs."""
        found = engine.jobs.get(job)
        engine.jobs.cancel(found)
        return _shown(engine, found)

    @routes.get("/jobs/{job}/files/{name:path}")
    def file(job: str, name: str) -> FileResponse:
        """A file of a job, by a name that the job's record gives."""
        path = engine.jobs.get(job).file(name)
        return FileResponse(path, media_type=_kind(name), filename=name.rpartition("/")[2])

    @routes.get("/jobs/{job}/zip")
    def everything(job: str) -> FileResponse:
        """All results of an ended job, with the report."""
        found = engine.jobs.get(job)
        if found.state not in ENDED:
            raise Refused(400, "the job has not ended yet")
        return FileResponse(bundle(found), media_type="application/zip", filename="likeness.zip")

    app.include_router(routes)


def _order(text: str) -> Order:
    try:
        return Order.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused(400, f"settings{f': {where}' if where else ''}: {first['msg']}") from None


def _take(engine: Engine, file: UploadFile) -> Upload:
    return engine.take(file.file, file.filename or "photo")


def _at(photos: list[Upload], position: str) -> Upload:
    if not position.isdecimal() or int(position) >= len(photos):
        raise Refused(400, f"faces: there is no photo {position!r}; the first is 0")
    return photos[int(position)]


def _kind(name: str) -> str:
    """A picture's type by the suffix that we gave it; never one that a browser would run."""
    found = FORMAT_OF_SUFFIX.get(name[name.rfind(".") :].lower())
    return f"image/{found.name.lower()}" if found else "application/octet-stream"


def _shown(engine: Engine, job: Job) -> dict[str, Any]:
    here = f"/api/v1/jobs/{job.id}"
    ended = job.state in ENDED
    return {
        "job": job.id,
        "state": job.state,
        "position": engine.jobs.position(job),
        "done": job.done,
        "total": job.total,
        "step": job.step,
        "problem": job.problem,
        "notes": list(job.notes),
        "photos": [_record(item) for item in list(job.items)],
        "links": {"self": here, **({"zip": f"{here}/zip", "files": f"{here}/files/"} if ended else {})},
    }


def _record(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("photo", "extra_outputs")}
