"""Python imports this at start-up because the harness puts this folder on PYTHONPATH, and ferroapi's sources after it.
It installs the alias, so that subprocesses of the suite run on ferroapi as well: `ferroapi_alias.pth` would do it only
where ferroapi is installed.
"""

from _ferroapi_alias import install

install()
