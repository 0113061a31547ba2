"""The browser studio and the HTTP API: one engine behind both.

``engine`` is the whole of it without a browser: uploads, a bounded queue of jobs, results that expire. ``api`` puts
HTTP before it, ``studio`` a page, ``server`` starts them. No path that comes from a client is ever opened: a client
names what it has uploaded, and what was made of it, by random names that were given to it.
"""
