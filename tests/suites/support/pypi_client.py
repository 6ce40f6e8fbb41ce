"""The PyPI client in one mode, through the gateway.

usage: pypi_client.py URL auto|legacy|modern PLAN
"""

import asyncio
import json
import sys

from mcp import Client
from mcp.types import (
    CreateMessageResult,
    ElicitResult,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
)

DEADLINE = 45
MODES = {"auto": "auto", "legacy": "legacy", "modern": "2026-07-28"}
PASSED = []
FAILED = []


def expect(holds, what):
    if not holds:
        raise AssertionError(f"expected {what}")


async def check(mode, what, run):
    """Runs one check under its own deadline; its failure ends no other."""
    who = f"PyPI client, {mode}: {what}"
    try:
        async with asyncio.timeout(DEADLINE):
            await run()
    except Exception as error:  # every failure is counted, whatever it is
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        FAILED.append(what)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"  FAIL  {who}: {reason[:400]}", flush=True)
    else:
        PASSED.append(what)
        print(f"  ok    {who}", flush=True)


async def pages(method, key):
    items, cursor = [], None
    while True:
        page = await method(cursor=cursor)
        items += getattr(page, key)
        cursor = page.next_cursor
        if cursor is None:
            return items


def compare(mine, always, sometimes=()):
    missing = [one for one in always if one not in mine]
    strange = [one for one in mine if one not in always and one not in sometimes]
    expect(not missing, f"{', '.join(missing)} among {len(mine)}")
    expect(not strange, f"no {', '.join(strange)}")
    expect(len(set(mine)) == len(mine), "each one once")


def text(result):
    return "\n".join(getattr(block, "text", "") for block in result.content)


def plain(models):
    return [model.model_dump(mode="json", by_alias=True, exclude_none=True) for model in models]


async def lists(client, mode, plan):
    always, sometimes = plan["always"], plan["sometimes"]

    async def tools():
        compare([one.name for one in await pages(client.list_tools, "tools")], always["tools"], sometimes["tools"])

    async def prompts():
        compare([one.name for one in await pages(client.list_prompts, "prompts")], always["prompts"])

    async def resources():
        compare([str(one.uri) for one in await pages(client.list_resources, "resources")], always["resources"])

    async def templates():
        listed = await pages(client.list_resource_templates, "resource_templates")
        compare([one.uri_template for one in listed], always["templates"])

    for run in (tools, prompts, resources, templates):
        await check(mode, f"lists every {run.__name__[:-1]}", run)


async def calls(client, mode, plan):
    for one in plan["calls"]:

        async def run(one=one):
            result = await client.call_tool(one["tool"], one["arguments"])
            expect(one["text"] in text(result), f"'{one['text']}' in '{text(result)}'")
            expect(bool(result.is_error) == one.get("error", False), "the same isError")

        await check(mode, f"calls {one['tool']}", run)


async def reads(client, mode, plan):
    for one in plan["resources"]:

        async def read(one=one):
            mine = plain((await client.read_resource(one["uri"])).contents)
            expect(mine == one["contents"], f"the contents as they are directly, not {str(mine)[:150]}")

        await check(mode, f"reads {one['uri']}", read)
    for one in plan["prompts"]:

        async def get(one=one):
            mine = plain((await client.get_prompt(one["name"], one.get("arguments"))).messages)
            expect(mine == one["messages"], f"the messages as they are directly, not {str(mine)[:150]}")

        await check(mode, f"gets {one['name']}", get)
    for one in plan["completions"]:

        async def complete(one=one):
            ref = one["ref"]
            named = ref["type"] == "ref/prompt"
            target = PromptReference(**ref) if named else ResourceTemplateReference(**ref)
            mine = (await client.complete(target, one["argument"])).completion.values
            expect(mine == one["values"], f"{one['values']}, not {mine}")

        await check(mode, f"completes {one['ref'].get('name') or one['ref']['uri']}", complete)


async def during(client, mode):
    async def progress():
        heard = []

        async def hear(progress, total, _message):
            heard.append((progress, total))

        arguments = {"duration": 1, "steps": 4}
        tool = "everything__trigger-long-running-operation"
        result = await client.call_tool(tool, arguments, progress_callback=hear)
        expect("completed" in text(result), "the end of the operation")
        # The last one comes together with the result, in either order; the plain client looks at that.
        expect(heard[:3] == [(1, 4), (2, 4), (3, 4)], f"the steps, not {heard}")

    async def cancelled():
        async def count():
            return int(text(await client.call_tool("fixture__test_cancel_count")))

        before, runs = await count(), asyncio.Event()

        async def hear(*_):
            runs.set()

        call = asyncio.create_task(client.call_tool("fixture__test_wait_for_cancel", progress_callback=hear))
        waiting = asyncio.create_task(runs.wait())
        await asyncio.wait({call, waiting}, return_when=asyncio.FIRST_COMPLETED)
        expect(runs.is_set(), "progress of the call")
        call.cancel()
        await asyncio.wait({call})
        while await count() <= before:
            await asyncio.sleep(0.025)

    await check(mode, "hears progress", progress)
    await check(mode, "a cancelled call is cancelled in the server", cancelled)


async def asked(client, mode):
    async def elicited():
        result = await client.call_tool("everything__trigger-elicitation-request")
        expect("Elicited Person" in text(result), f"the answer in {text(result)}")

    async def sampled():
        result = await client.call_tool("everything__trigger-sampling-request", {"prompt": "a word", "maxTokens": 10})
        expect("sampled here" in text(result), f"the answer in {text(result)}")

    await check(mode, "answers an elicitation", elicited)
    await check(mode, "answers a sampling request", sampled)


async def asked_again(client, mode):
    async def elicited():
        result = await client.call_tool("fixture-http__test_input_required_result_elicitation")
        expect("Elicited Person" in text(result), f"the answer in {text(result)}")

    await check(mode, "answers a question in a second round", elicited)


async def elicit(_context, _params):
    return ElicitResult(action="accept", content={"name": "Elicited Person"})


async def sample(_context, _params):
    return CreateMessageResult(role="assistant", model="suite", content=TextContent(type="text", text="sampled here"))


async def main(url, mode, plan):
    client = Client(url, mode=MODES[mode], elicitation_callback=elicit, sampling_callback=sample)

    async def session():
        async with client:
            await lists(client, mode, plan)
            await calls(client, mode, plan)
            await reads(client, mode, plan)
            await during(client, mode)
            if mode == "legacy":
                await asked(client, mode)
            else:
                await asked_again(client, mode)

    try:
        await asyncio.wait_for(session(), 300)
        await check(mode, "connects and closes", lambda: asyncio.sleep(0))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"

        async def broken():
            raise AssertionError(reason)

        await check(mode, "connects and closes", broken)


if __name__ == "__main__":
    with open(sys.argv[3], encoding="utf-8") as file:
        asyncio.run(main(sys.argv[1], sys.argv[2], json.load(file)))
    print(f"{len(PASSED)} passed, {len(FAILED)} failed")
    sys.exit(0 if PASSED and not FAILED else 1)
