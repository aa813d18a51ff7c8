"""The end of the chain, in Python."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.chain_py import Station, WayToFail
from wit_world.imports import context
from wit_world.imports.types import Error


class ChainPy(exports.ChainPy):
    def pass_(self, stations: list[Station]) -> list[Station]:
        caller = context.current()
        station = Station(
            "chain-py", caller.principal, caller.scopes, caller.plugin, caller.request_id, caller.remaining_ms
        )
        return [*stations, station]

    def fail(self, way: WayToFail) -> str:
        if way == WayToFail.ERROR:
            raise Err(Error("conflict", "chain-py was asked to fail", '{"asked":"error"}'))
        raise RuntimeError("chain-py was asked to trap")
