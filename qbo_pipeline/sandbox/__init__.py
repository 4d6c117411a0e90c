"""A local QuickBooks Online: a small honest product, reached over HTTP and in no other way.

    /v3/company/{realm}/…                  what Intuit serves: query, read, CDC, batch, writes
    /connect/oauth2, /oauth2/v1/…          Intuit's consent page and token endpoint
    /_sandbox/…                            the remote control: books, clock, faults, tokens, call log

It is stateful (in memory), deterministic from a seed, and shares no code with the client it tests, or both could be
wrong together. Comments such as "Intuit: data queries" name the page of Intuit's developer documentation (or the kind
of observation) a behaviour follows; docs/sandbox.md lists the limits.
"""
