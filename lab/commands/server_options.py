"""Options of ``twistd lab-server`` for single services, in Twisted's own form; nothing else."""

#: Of the echo service.
ECHO = [
    ["stream-interval", None, "0", "echo: the shortest interval of a stream (0, 20ms)."],
    ["stream-packets", None, "1000", "echo: most packets of a stream."],
    ["stream-size", None, "65507", "echo: most bytes of a packet."],
    ["file-size", None, "123456789", "echo: most characters of a file."],
    ["rate", None, None, "echo: most bytes a second for one address (64K, 10M)."],
    ["total-rate", None, None, "echo: most bytes a second in all."],
    ["streams", None, "16", "echo: most streams and files at a time for one address."],
    ["total-streams", None, "1000", "echo: most streams and files at a time in all."],
    ["pace", None, "4000000", "echo over UDP: bytes a second of a file, or of a fast stream."],
    ["piece", None, "1200", "echo over UDP: characters of a file in a datagram."],
]
#: The old relatives of the echo service, each with an option of that name.
CLASSIC = ("classic-echo", "discard", "chargen")

#: Of the download service.
DOWNLOAD = [
    ["root", None, ".", "download: the directory whose files are served."],
    ["limit-rate", None, None, "download: most bytes a second for one address (64K, 10M)."],
    ["total-limit-rate", None, None, "download: most bytes a second in all."],
    ["transfers", None, "64", "download: most files at a time to one address."],
    ["total-transfers", None, "1000", "download: most files at a time in all."],
    ["connections", None, "256", "download: most connections of one address."],
    ["total-connections", None, "4096", "download: most connections in all."],
]
#: Of the download service, without a value.
FLAGS = [
    ["recursive", None, "download: serve files in directories within the root, too."],
    ["hidden", None, "download: serve names that begin with a dot, too."],
]
