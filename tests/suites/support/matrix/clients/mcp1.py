"""The PyPI package mcp, 1.x."""

import inspect
import os
from contextlib import AsyncExitStack, asynccontextmanager

import mcp.types as types
from mcp import ClientSession, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

from steps import ELICITED, ROOT, SAMPLED, plain, run


class Client:
    def __init__(self, session, events, hello):
        self.session, self.events, self.hello = session, events, hello

    async def initialized(self):
        return self.hello

    async def ping(self):
        return await self.session.send_ping()

    async def level(self, level):
        return await self.session.set_logging_level(level)

    async def list(self, of, cursor):
        session = self.session
        method, key = {
            "tools": (session.list_tools, "tools"),
            "prompts": (session.list_prompts, "prompts"),
            "resources": (session.list_resources, "resources"),
            "templates": (session.list_resource_templates, "resourceTemplates"),
        }[of]
        page = await method(cursor)
        return getattr(page, key), page.nextCursor

    async def call(self, name, arguments, hear):
        params = types.CallToolRequestParams(name=name, arguments=arguments)
        request = types.ClientRequest(types.CallToolRequest(method="tools/call", params=params))
        return await self.session.send_request(request, types.CallToolResult, progress_callback=hear)

    async def read(self, uri):
        return await self.session.read_resource(AnyUrl(uri))

    async def prompt(self, name, arguments):
        return await self.session.get_prompt(name, arguments)

    async def complete(self, ref, argument):
        kind = types.PromptReference if ref["type"] == "ref/prompt" else getattr(types, "ResourceTemplateReference", None) or types.ResourceReference
        return await self.session.complete(kind(**ref), argument)

    async def subscribe(self, uri):
        await self.session.subscribe_resource(AnyUrl(uri))

    async def unsubscribe(self, uri):
        await self.session.unsubscribe_resource(AnyUrl(uri))


def handlers(events):
    async def roots(_context):
        return types.ListRootsResult(roots=[types.Root(**ROOT)])

    async def sample(_context, params):
        events.asked.append({"method": "sampling/createMessage", "params": plain(params)})
        return types.CreateMessageResult(**SAMPLED)

    async def elicit(_context, params):
        events.asked.append({"method": "elicitation/create", "params": plain(params)})
        return types.ElicitResult(action="accept", content=ELICITED)

    async def log(params):
        events.logs.append(plain(params))

    async def message(value):
        if isinstance(value, types.ServerNotification):
            events.notification(value)

    given = {
        "list_roots_callback": roots,
        "sampling_callback": sample,
        "elicitation_callback": elicit,
        "logging_callback": log,
        "message_handler": message,
    }
    known = inspect.signature(ClientSession.__init__).parameters
    return {name: one for name, one in given.items() if name in known}


def transport(target):
    if "command" in target:
        command, *args = target["command"]
        env = {**os.environ, **target.get("env", {})}
        return stdio_client(StdioServerParameters(command=command, args=args, env=env), errlog=open(os.devnull, "w"))
    if target.get("transport") == "sse":
        return sse_client(target["url"])
    return streamablehttp_client(target["url"])


@asynccontextmanager
async def connect(target, events):
    async with AsyncExitStack() as stack:
        read, write, *_ = await stack.enter_async_context(transport(target))
        session = await stack.enter_async_context(ClientSession(read, write, **handlers(events)))
        yield Client(session, events, plain(await session.initialize()))


run(connect)
