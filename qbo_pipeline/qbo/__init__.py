"""The end that speaks HTTP to QuickBooks Online: it reads one company's books, and can do nothing else.

Start at ``client.py`` (queries, reads, change data capture), then ``paging.py`` (every changed record, exactly) and
``oauth.py`` (tokens). Imports nothing here: ``requests`` costs a tenth of a second, paid only by those who call out.
"""
