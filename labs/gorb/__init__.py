"""The lab on the Gorb load balancer."""
