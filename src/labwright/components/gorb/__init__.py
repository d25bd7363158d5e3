"""A Gorb-compatible daemon: a REST front end to the kernel's IPVS.

::

    __main__    the command line (flags), start and stop (signals), the log
    server      uvicorn, imported narrowly (lean)
    api         routes and answers; bodies are read by options, in the manner of go_json
    changes     what clients change, in all places or in none
    registry    what was registered; every change goes to IPVS first
    ipvs        what is asked of IPVS: ipvs_kernel by netlink, ipvs_memory for tests
    vip         -vipi: addresses on an interface
    store       -store: etcd or Consul, with which synchrony keeps the registry in step
    catalogue   -c: services told to Consul
    pulse       checks of backends, whose results health keeps
    metrics     /metrics

It answers as kobolog/gorb does; docs/gorb.md lists in what it differs, and what it leaves
behind when it is stopped or killed.
"""
