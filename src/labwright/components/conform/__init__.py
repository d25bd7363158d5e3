"""Whether a daemon answers as Gorb does: any daemon, ours or the original.

::

    gorb        one request and its reply; what differs is raised as Difference
    cases       how a case is written, and all of them in order
    services, backends, pulses, paths     the cases
    run         runs them, and leaves the daemon as it was

Each case is a function whose name is the claim that it makes; it is handed a ``Gorb`` and
raises ``Difference`` where the claim does not hold. Services stand on 192.0.2.0/24 and
2001:db8::/32, which are for documentation, so no traffic can be theirs.
"""
