"""Greets, in Python."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import events, log, storage
from wit_world.imports.types import Error

KEY = "greetings"


class Greeter(exports.Greeter):
    def greet(self, name: str) -> str:
        if not name:
            raise Err(Error("invalid_params", "params.name: must not be empty", '{"path":"params.name"}'))
        greetings = int(storage.get(KEY) or b"0") + 1
        storage.set(KEY, str(greetings).encode())
        events.publish("greeter_py.greeted", json.dumps({"name": name, "greetings": greetings}))
        log.write(log.Level.INFO, f"greeted {name}", [("name", name)])
        return f"Hello, {name}! ({greetings})"
