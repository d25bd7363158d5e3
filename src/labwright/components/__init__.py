"""The programs that the labs are about: Gorb, its conformance tests, server and client."""
