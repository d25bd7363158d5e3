"""The lab's server and client, and the probe that is sent to a target."""
