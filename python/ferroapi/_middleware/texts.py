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
    "starlette.middleware.gzip": {
        "ee28df06ccd3e21eacc9b96471df3da657b8dd6a980601fe842c9cb0ab96b66b",  # 1.6 and 1.7
        "338801845f5a009298229bb5deab0230f354f753d7828fbb29dead677b30943a",  # 1.8 and 1.9
        "d8396f87b8dbb514bddc885f30f40fc094c31ec7648c7ed14fe0814180fb1159",  # 1.10
    },
    "starlette.middleware.trustedhost": {
        "c10f831a36a50dfa7119e50cc36022cd9d39b3cf825ba61e63903562ebad5475",  # 1.9 and 1.10
    },
    "starlette.middleware.httpsredirect": {
        "48d4e579a6002c6a084d5ef1c1b89ce2007a55874cf1895e6bfca4722533df58",  # 1.6
        "7e88112b2a4cc7780ace81e026928f2084c674ac4575408402ab244479dd6414",  # 1.7 to 1.10
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
