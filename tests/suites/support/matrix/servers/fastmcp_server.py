"""A server on the PyPI package fastmcp, 2.x to 4.x.

usage: fastmcp_server.py stdio | fastmcp_server.py http|sse PORT
"""

import asyncio
import sys
from dataclasses import dataclass

from fastmcp import Context, FastMCP

server = FastMCP("matrix-fastmcp", version="1.2.3", instructions="Ask for sums; über alles: ✓.")


@dataclass
class Name:
    name: str


@server.tool
def add(a: int, b: int = 1) -> int:
    """Adds two numbers."""
    return a + b


@server.tool
def weather(city: str) -> dict[str, str]:
    """Structured content."""
    return {"city": city, "sky": "clear ☀"}


@server.tool
def fails() -> str:
    """Always fails."""
    raise ValueError("this tool always fails")


@server.tool
async def steps(count: int, ctx: Context) -> str:
    """Reports progress."""
    for done in range(1, count + 1):
        await ctx.report_progress(done, count, f"step {done}")
        await asyncio.sleep(0.05)
    return f"{count} steps"


@server.tool
async def wait(ctx: Context) -> str:
    """Reports progress once and waits."""
    await ctx.report_progress(1, 100)
    await asyncio.sleep(30)
    return "waited"


@server.tool
async def logs(ctx: Context) -> str:
    """Logs at three levels."""
    await ctx.debug("a debug line")
    await ctx.info("an info line")
    await ctx.warning("a warning")
    return "logged"


@server.tool
async def who(ctx: Context) -> str:
    """Elicits a name."""
    answer = await ctx.elicit("Who are you?", Name)
    return f"{answer.action}: {answer.data.name}"


@server.tool
async def word(ctx: Context) -> str:
    """Samples a word."""
    answer = await ctx.sample("One word, please.", max_tokens=10)
    return str(getattr(answer, "text", answer))


@server.resource("matrix://text")
def text() -> str:
    """A text."""
    return "A text of the server. ä ö ü"


@server.resource("matrix://binary", mime_type="application/octet-stream")
def binary() -> bytes:
    """Bytes."""
    return bytes(range(256))


@server.resource("matrix://items/{item}")
def item(item: str) -> str:
    """One item."""
    return f"item {item}"


@server.prompt
def greeting(name: str) -> str:
    """Greets."""
    return f"Say hello to {name}."


if sys.argv[1] == "stdio":
    server.run(transport="stdio", show_banner=False)
else:
    server.run(transport=sys.argv[1], host="127.0.0.1", port=int(sys.argv[2]), show_banner=False)
