"""A read door with TLS and an account on the store of a data directory, until standard input ends.

Arguments: the data directory, a certificate and its key. Announces itself as `serve` does.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import chdb

from pipeline.config import DoorAccount, DoorConfig, TlsConfig
from pipeline.data_dir import announced
from pipeline.http_server import HttpServer
from pipeline.web.door import door_app

PASSWORD = "a password of the process's own"


async def main(data_dir: Path, certificate: Path, key: Path) -> None:
    store = str(data_dir / "store")
    engine = chdb.connect(store)
    somebody = data_dir / "somebody"
    somebody.write_text("another password, long enough\n", encoding="utf-8")
    somebody.chmod(0o600)
    tls = TlsConfig(cert_file=certificate, key_file=key)
    account = DoorAccount(name="grafana", password_file=somebody)
    config = DoorConfig(listen="127.0.0.1:0", tls=tls, accounts=(account,))
    app = door_app(partial(chdb.connect, store), config, own_password=PASSWORD)
    async with HttpServer(app, config.listen, tls=tls) as server:
        url = f"https://hoptrail:{PASSWORD.replace(' ', '%20')}@{server.address}"
        with announced(data_dir, {"read_url": url}):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)
    engine.close()


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))
