"""The benchmark: what capfix loses and costs, beside its peers, in the same run.

`python -m bench run` (as root) sends bounded loads through network namespaces of its own and lets every capture tool
take them in turn, round after round; tables of medians and ratios go to standard output and to bench/results/.
`python -m bench delay`, `startup` and `idle` take the single measures. Nothing leaves the machine, and nothing stays
on it: the namespaces belong to the process.

The rules that make the numbers comparable, whichever tool they favour:

- The tools alternate inside each round, so that a slow minute of the machine hits all of them.
- Every tool has the same ring, 64 MiB, and is told nothing else about speed.
- A load starts when the tool's packet socket is running (/proc/net/packet), and the tool is stopped when it has come
  to rest. So neither start-up nor stopping costs packets.
- CPU is user and system time of the capturing process, from its exit (wait4), threads included. What the kernel does
  for a packet before the ring happens in the sender's time, the same for all.
- Kept packets are counted in the file by `bench.count`, not taken from what the tool says; only on a pipe is the
  tool's own count used.
- "Start-up" is the same tool's CPU in a run without a packet: loading, the ring, stopping. capfix's modules are there
  as bytecode, as after an installation by pip, whatever PYTHONDONTWRITEBYTECODE says.

Source of the tools' meaning of their options: tcpdump(8), dumpcap(1), netsniff-ng(8), trafgen(8).
"""
