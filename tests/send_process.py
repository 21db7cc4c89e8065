"""A sender in a process of its own, to be killed: python -m tests.send_process FOLDER DATABASE PORT CONNECTIONS."""

import asyncio
import sys
from pathlib import Path

from tests.service import Service

folder, store_url, port, connections = sys.argv[1:]
service = Service(Path(folder), store_url, int(port), fresh=False, connections=int(connections))
asyncio.run(service.app.sender(service.clock).run())
