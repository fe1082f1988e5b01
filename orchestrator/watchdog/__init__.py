"""Finds a model that is dead or hung behind a server that looks healthy, and repairs it.

A stub that was killed or stopped leaves Triton's readiness at OK, and the response cache goes on answering what it
knows. So each round sends fresh input through every step of every ensemble (`probes`), tells a hung model from a busy
one by Triton's own counts (`stalls`), and repairs what is ill (`repairs`), with the help of Triton's `supervisor`.
"""
