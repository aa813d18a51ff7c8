"""Calls functions in the other colour, in Python."""

from wit_world import exports
from wit_world.imports import colours, context


class ColoursPy(exports.ColoursPy):
    async def plain(self, text: str) -> str:
        return await colours.plain(text)

    def waits(self, text: str) -> str:
        return colours.waits(text)

    async def served(self, text: str) -> list[str]:
        seen = {context.current().request_id}
        for _ in range(10):
            await colours.plain(text)
            seen.add(context.current().request_id)
        return sorted(seen)
