"""Whether the modules of other packages' middleware are those that the engine's stand-ins were written for.

A layer of any other version is run as it is: right, at Starlette's own cost.
"""

import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

_DIGESTS = {
    "starlette.middleware.base": {
        "d054b70ac0cff44bb83b08a39c48542f25be8305c2e547a91635498c4ffc44d0",  # 1.10
    },
    "starlette.middleware.cors": {
        "fce9d679b52dd9670f38216daacdcab159c6995cdb5256ee5162dc58d25a5c4f",  # 1.7 to 1.10
    },
    "uvicorn.middleware.proxy_headers": {
        "a4d664f3434db1c2c4c22f291a7e9c21b685d1b49f26108a9f7a478eaa9f5bdd",  # uvicorn 0.54
    },
}
"""The SHA-256 of each text whose layer does what its stand-in does, and the versions that have it: Starlette's,
where no other package is named."""


@cache
def is_known(module: str) -> bool:
    """Tell whether a module, which was imported, has a text that the chain was written for."""
    path = getattr(sys.modules[module], "__file__", None)
    try:
        text = Path(path or "").read_bytes()
    except OSError:
        # Imported from an archive, or without its source.
        return False
    return sha256(text).hexdigest() in _DIGESTS[module]
