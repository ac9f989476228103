"""Checks of loaded sessions: what must hold of one, what was found, and whether it blocks.

``rules`` says what is checked, ``evaluation`` asks the database for one session of one dataset,
``results`` keeps what was found and answers which sessions are blocked or were never checked.
"""
