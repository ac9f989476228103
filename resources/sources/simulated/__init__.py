"""A market that does not exist, for demonstrations, tests and machines without data.

Everything about a session follows from the seed and the session's date alone: nothing is stored,
no session needs another one to be made first, and a symbol is the same whichever others are
asked for. ``listing`` says who is listed, ``prices`` makes daily bars, ``minutes`` divides them,
``flows`` says who bought, ``companies`` what a company does, ``holdings`` what an ETF holds;
``source`` puts them into canonical columns.
"""
