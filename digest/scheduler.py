"""DOOR: the clock's jobs. APScheduler keeps the hours; each job calls one flow with the time."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from digest.app import App, Clock
from digest.app.bounces import Returns
from digest.domain.newsletters import Newsletter
from digest.domain.periods import WEEKDAYS, Schedule
from digest.subscribing import forgetting, reminding

log = logging.getLogger("digest.scheduler")


def create_scheduler(app: App, clock: Clock) -> AsyncIOScheduler:
    """All jobs, not started yet. A job missed while the machine slept runs once when it wakes."""
    jobs = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    scheduler = AsyncIOScheduler(job_defaults=jobs, timezone="UTC")
    if app.sources:
        every = IntervalTrigger(seconds=app.config.collecting.every.total_seconds())
        scheduler.add_job(collect, every, [app, clock], id="collect", next_run_time=clock() + timedelta(seconds=1))
    for newsletter in app.newsletters.values():
        moments = {"cutoff": newsletter.cutoff, "schedule": newsletter.schedule}
        if newsletter.cutoff == newsletter.schedule:
            del moments["cutoff"]
        for name, schedule in moments.items():
            job = f"{newsletter.name} {name}"
            scheduler.add_job(publish, cron(schedule), [app, newsletter, clock], id=job)
        # A start is also a moment to act: the hour may have passed while nothing ran.
        scheduler.add_job(publish, args=[app, newsletter, clock], id=f"{newsletter.name} start")
    hourly = IntervalTrigger(hours=1)
    scheduler.add_job(remind, hourly, [app, clock], id="remind", next_run_time=clock() + timedelta(minutes=1))
    daily = IntervalTrigger(hours=24)
    often = IntervalTrigger(seconds=app.config.bounces.every.total_seconds())
    scheduler.add_job(bounces, often, [app, clock], id="bounces", next_run_time=clock() + timedelta(seconds=2))
    scheduler.add_job(fold, daily, [app, clock], id="fold", next_run_time=clock() + timedelta(minutes=5))
    scheduler.add_job(purge, daily, [app, clock], id="purge", next_run_time=clock() + timedelta(minutes=7))
    return scheduler


def cron(schedule: Schedule) -> CronTrigger:
    """The schedule as a cron trigger in its own zone."""
    days = (
        {"day": schedule.day_of_month}
        if schedule.day_of_month
        else {"day_of_week": ",".join(WEEKDAYS[day] for day in sorted(schedule.days))}
    )
    return CronTrigger(hour=schedule.at.hour, minute=schedule.at.minute, timezone=schedule.zone, **days)


async def collect(app: App, clock: Clock) -> None:
    """Read every source."""
    for each in await app.collect(clock()):
        if each.error:
            log.warning("%s", each.error)
        else:
            log.info("source %s: %d articles, %d new, %d views", each.source, each.found, each.new, each.views)


async def fold(app: App, clock: Clock) -> None:
    """Turn old sent rows into numbers, and old hours into days."""
    if folded := await asyncio.to_thread(app.fold, clock()):
        log.info("%d sent rows were folded into totals", folded)
    if saved := await asyncio.to_thread(app.fold_hours, clock()):
        log.info("hours became days: %d rows less", saved)


async def remind(app: App, clock: Clock) -> None:
    """Ask once more who has not answered."""
    settings = app.config.subscribing
    if asked := await asyncio.to_thread(reminding.remind, app.store, _waiting(app), settings.limits(), clock()):
        log.info("%d readers were reminded to confirm", asked)


async def purge(app: App, clock: Clock) -> None:
    """Delete who never answered, and what of others was kept for long enough."""
    if gone := await asyncio.to_thread(reminding.purge, app.store, _waiting(app), clock()):
        log.info("%d sign-ups that nobody confirmed were deleted", gone)
    settings = app.config.subscribing
    blanked, proofs = await asyncio.to_thread(
        forgetting.tidy, app.store, settings.keep_ip, settings.keep_proof, clock()
    )
    if blanked or proofs:
        log.info("%d records of consent lost their network, %d old proofs were deleted", blanked, proofs)


def _waiting(app: App) -> reminding.Waiting:
    settings = app.config.subscribing
    return reminding.Waiting(settings.remind_after, settings.confirm_within, settings.purge_after)


async def publish(app: App, newsletter: Newsletter, clock: Clock) -> None:
    """Do what the newsletter's schedule asks for now."""
    edition = await app.publish_due(newsletter, clock())
    if edition is not None:
        why = f": {edition.reason}" if edition.reason else ""
        log.info("%s: edition %d is %s%s", newsletter.name, edition.id, edition.state, why)


async def bounces(app: App, clock: Clock) -> None:
    """Read the mailbox of reports, if there is one, and tell the desk what came of all reports."""
    stopping = threading.Event()
    try:
        await asyncio.to_thread(Returns(app).watch, clock, stopping)
    finally:
        stopping.set()  # when the service stops: the thread looks at it every second
