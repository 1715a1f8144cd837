"""I/O: the demo: the real process under real log lines, from HAProxy and stand-ins for all else.

Nothing here is part of the product's path of data. What stands for somebody else's program says so: the
gateway that speaks and logs like Kong is a "stand-in gateway, not Kong", the edge that stands where there is
no `haproxy` binary a "stand-in edge, not HAProxy". Both take their behaviour from the files in `deploy/`.
"""
