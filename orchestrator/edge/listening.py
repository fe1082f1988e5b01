"""uvicorn, but without what holds up its event loop: a crowd at the door, and a look through all of memory."""

import gc
import os
import socket

import uvicorn

_ACCEPTED_IN_A_TURN = 8
_WAITING_IN_THE_KERNEL = 2048


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        config.backlog = _ACCEPTED_IN_A_TURN  # which asyncio takes for both numbers
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listening in server.sockets:
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    same.listen(_WAITING_IN_THE_KERNEL)
        # What is there now stays. The collector takes 150 ms to see that, and would look again and again.
        gc.collect()
        gc.freeze()
