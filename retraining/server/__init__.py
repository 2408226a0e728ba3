"""The tick that is repeated, and a small page about it on the loopback interface."""
