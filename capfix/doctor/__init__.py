"""The doctor: watches an interface for a few seconds, or reads a file, and says in a sentence what is wrong.

    findings       what is said: verdicts, evidence, remedies
    judgement      one packet: is its link-layer header what its interface promises
    watch          the only part that opens sockets and waits: collects an Observation
    observation    what was collected
    checks/        one file a check: `check(observation)` yields findings
    examination  from the name of an interface to its diagnosis
    capture_file, file_examination   the same for a file
    system         can this user capture on this machine at all

A check is pure: it looks at the observation and at nothing else. It is found by being there: a new file in checks/ with
a function `check` takes part. Of all findings the gravest gives the verdict; findings without a verdict are notes.
"""
