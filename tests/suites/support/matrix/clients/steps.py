"""The steps of the matrix for clients in Python; steps.mjs says what a client gets and gives."""

import asyncio
import json
import sys

DEADLINE = 40
ROOT = {"uri": "file:///matrix", "name": "matrix"}
SAMPLED = {
    "role": "assistant",
    "model": "matrix",
    "content": {"type": "text", "text": "sampled by the matrix"},
    "stopReason": "endTurn",
}
ELICITED = {"name": "Elicited Person", "value": "elicited", "random": "elicited"}


def failure(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    inner = getattr(error, "error", None)
    return {"error": {"code": getattr(inner, "code", None), "message": str(error) or type(error).__name__}}


def plain(value):
    """What a client's type is as JSON."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


class Events:
    def __init__(self):
        self.logs, self.asked, self.changes, self.updates = [], [], {}, []
        self.heard = asyncio.Event()

    def notification(self, value):
        """Takes a server notification, perhaps in its wrapper, and passes over all else."""
        value = plain(getattr(value, "root", value))
        method = value.get("method", "") if isinstance(value, dict) else ""
        if method.endswith("/list_changed"):
            of = method.split("/")[1]
            self.changes[of] = self.changes.get(of, 0) + 1
        elif method == "notifications/resources/updated":
            self.updates.append(value["params"]["uri"])
        self.heard.set()

    async def until(self, holds):
        while not holds():
            self.heard.clear()
            await self.heard.wait()


async def every(client, of):
    items, cursor, seen = [], None, set()
    while True:
        page, cursor = await client.list(of, cursor)
        items += plain(page)
        if cursor is None:
            return items
        if cursor in seen:
            raise RuntimeError(f"the cursor {cursor} came again")
        seen.add(cursor)


async def call(client, step):
    progress = []

    async def hear(done, total=None, message=None):
        progress.append([done, total, message])

    client.events.logs.clear()
    client.events.asked.clear()
    try:
        result = plain(await client.call(step["name"], step.get("arguments", {}), hear))
    except Exception as error:
        result = failure(error)
    return {"result": result, "progress": progress, "logs": list(client.events.logs), "asked": list(client.events.asked)}


async def cancel(client, step):
    runs = asyncio.Event()

    async def hear(*_):
        runs.set()

    task = asyncio.create_task(client.call(step["name"], step.get("arguments", {}), hear))
    waiting = asyncio.create_task(runs.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    waiting.cancel()
    task.cancel()
    await asyncio.wait({task})
    return "cancelled" if task.cancelled() or task.exception() else "answered"


async def changed(client, step):
    of, events = step["of"], client.events
    before = events.changes.get(of, 0)
    await client.call(step["name"], step.get("arguments", {}), None)
    await events.until(lambda: events.changes.get(of, 0) > before)
    return await every(client, of)


async def updated(client, step):
    await client.subscribe(step["uri"])
    await client.call(step["name"], step.get("arguments", {}), None)
    await client.events.until(lambda: step["uri"] in client.events.updates)
    await client.unsubscribe(step["uri"])
    return "heard"


STEPS = {
    "initialize": lambda client, step: client.initialized(),
    "ping": lambda client, step: client.ping(),
    "level": lambda client, step: client.level(step["level"]),
    "list": lambda client, step: every(client, step["of"]),
    "read": lambda client, step: client.read(step["uri"]),
    "prompt": lambda client, step: client.prompt(step["name"], step.get("arguments")),
    "complete": lambda client, step: client.complete(step["ref"], step["argument"]),
    "call": call,
    "cancel": cancel,
    "changed": changed,
    "updated": updated,
}


async def session(connect, job, said):
    async with connect(job["target"], Events()) as client:
        for step in job["steps"]:
            try:
                async with asyncio.timeout(DEADLINE):
                    said[step["key"]] = plain(await STEPS[step["op"]](client, step))
            except Exception as error:
                said[step["key"]] = failure(error)


async def jobs(connect, wanted):
    results = {}
    for job in wanted:
        said = results[job["server"]] = {}
        try:
            await session(connect, job, said)
            said["end"] = "ended"
        except Exception as error:
            said["end"] = failure(error)
    return results


def run(connect):
    """`connect(target, events)` is an async context manager that gives a client."""
    wanted, results = sys.argv[-2:]
    with open(wanted, encoding="utf-8") as file:
        said = asyncio.run(jobs(connect, json.load(file)))
    with open(results, "w", encoding="utf-8") as file:
        json.dump(said, file, indent=1)
