#!/usr/bin/python3
"""The document's Python client, driven: its class as it stands, and send_command and get_status called when the connection
is open (the document's main() calls them when connect() returns, which is when the connection has ended). Every frame is
printed as it was heard."""
import asyncio
import importlib.util
import json
import sys


def document_class(path):
    spec = importlib.util.spec_from_file_location("carousel_client", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CarouselWebSocketClient


async def main(path, url):
    awaited = {"machine_status", "command_completed"}

    class Driven(document_class(path)):
        async def listen(self):
            await self.send_command("machine_1", 1, 25)
            await self.get_status("machine_1")
            await super().listen()

        async def handle_message(self, data):
            print("heard", json.dumps(data, separators=(",", ":"), ensure_ascii=False), flush=True)
            await super().handle_message(data)
            awaited.discard(data["type"])
            if not awaited:
                await self.disconnect()

    await Driven(url).connect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
