"""A Gorb-compatible daemon: a REST front end to the kernel's IPVS.

::

    __main__    the command line (flags), start and stop (signals), the log
    server      uvicorn, imported narrowly (lean)
    api         routes and answers; bodies are read by options, in the manner of go_json
    registry    what was registered; every change goes to IPVS first
    ipvs        what is asked of IPVS: ipvs_kernel by netlink, ipvs_memory for tests
    pulse       checks of backends, whose results health keeps
    metrics     /metrics

It answers as kobolog/gorb does. It differs where the original crashes, leaves its own table
and the kernel's in disagreement, or contradicts itself:

- a pulse of type http takes numbers in its arguments, a pulse of type tcp reaches IPv6;
- after a refusal by the kernel, REST shows what the kernel has; what somebody else removed
  from the kernel can still be deleted;
- a weight that is set while a backend is down is the one that it returns to;
- gorb_service_backend_uptime_seconds is in seconds;
- the port is taken before ``-f`` flushes IPVS: a second daemon does no harm;
- a body of more than 1 MiB is refused with 413;
- ``-c``, ``-vipi`` and ``-store`` are refused at the start: not supported yet.

Started without ``-f`` it leaves the services alone that the kernel has, and does not know
them: a service on the same address is then refused by the kernel (500). After SIGKILL its
services stay in the kernel, where they go on working, until the next start with ``-f``.
"""
