"""The effects of a job, exactly once: bytes first, then the pictures' rows and the completion in one transaction."""

from sqlalchemy import insert

from orchestrator.gallery.pictures import keep_pictures
from orchestrator.gallery.rows import insert_images
from orchestrator.jobs import leases
from orchestrator.jobs.model import Claim, OnPhase, Outcome, Phase
from orchestrator.storage.database import Database
from orchestrator.storage.shelf import Shelf
from orchestrator.storage.tables import JobFileRow


async def complete(database: Database, shelf: Shelf, claim: Claim, outcome: Outcome, on_phase: OnPhase) -> bool:
    """False when the job is no longer ours: it was cancelled, or another worker has it. Then nothing has happened.

    May be called again after an Unavailable: a commit whose answer was lost shows as False the second time.
    """
    kept = await keep_pictures(shelf, outcome.pictures)
    files = dict(zip(outcome.files, await shelf.keep(list(outcome.files.values())), strict=True))
    on_phase(Phase.KEPT)
    result = {**outcome.answer, "image_ids": [picture.id for picture in kept]}
    async with database.writing() as connection:
        if not await leases.complete(connection, claim, result):
            return False
        await insert_images(connection, claim.job.owner, kept, claim.job.id)
        for name, sha256 in files.items():
            await connection.execute(insert(JobFileRow).values(job_id=claim.job.id, name=name, sha256=sha256))
        on_phase(Phase.COMPLETING)
    on_phase(Phase.COMPLETED)
    return True
