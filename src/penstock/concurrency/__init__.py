"""Taking slots of global concurrency limits: `penstock.concurrency.sync` and `.asyncio`."""
