"""Model Context Protocol (mcp 2.x): agents search an index, and are told when there is no answer."""

from fg_search.integrations.mcp.server import create_server

__all__ = ["create_server"]
