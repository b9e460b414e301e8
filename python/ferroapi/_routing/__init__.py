"""What stands behind `ferroapi.routing`: route state, includes, frontends, lifespans and matching."""
