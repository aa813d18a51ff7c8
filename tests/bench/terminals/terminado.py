# Serves shells under names, as the documentation of terminado has it, and says where.
import asyncio

import tornado.httpserver
import tornado.netutil
import tornado.web
from terminado import NamedTermManager, TermSocket


async def main():
    manager = NamedTermManager(shell_command=["/bin/sh"], max_terminals=100)
    application = tornado.web.Application([(r"/terminals/(\w+)", TermSocket, {"term_manager": manager})])
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    tornado.httpserver.HTTPServer(application).add_sockets(sockets)
    print(f"ws://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
