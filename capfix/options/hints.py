"""What is allowed and likely not meant."""

import re
from collections.abc import Iterator

from capfix.options.run import RunOptions


def hints(options: RunOptions) -> Iterator[str]:
    """Yield a sentence for each option that capfix takes otherwise than users of other tools may expect."""
    name = options.output.rpartition("/")[2]
    if re.search("%[a-zA-Z]", name):  # tcpdump -w with -G
        advice = (
            "files that rotate get number and time by themselves"
            if options.rotation
            else "for files named by time use --rotate-every"
        )
        yield f"-o {options.output}: % sequences are not expanded; {advice}"
    if name.lower().endswith((".pcap", ".cap")):
        yield f"{options.output} will be a pcapng file, whatever its name; most readers tell by the content"
