"""The Dagster code location: one module per asset, and one per concept they share.

``definitions`` assembles everything; what talks to sources and databases is in ``resources``.
"""
