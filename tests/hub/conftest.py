"""The stand-in of the hub, for every test of this folder."""

from hub_fixture import hub, no_login

__all__ = ["hub", "no_login"]
