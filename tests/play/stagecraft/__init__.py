"""stagecraft: what plays are made of. See ../README.md for the vocabulary and a first play.

    wait        the one place that waits, always with a deadline
    ports       a block of TCP ports that is this play's own
    process     one real process: start, ready, kill, pause, stop, its descriptors
    segment     counters of any Noria process, read from its shared segment
    simulator   plc-sim: its control socket and its log of every byte (the truth)
    connection  a WebSocket connection that keeps what it hears, whatever its dialect
    client      a client of the carousel dialect that checks its rules on every frame it hears
    streams     a client of the streams dialect
    caller      a client of an endpoint; chatterbox: one that numbers its messages and knows what must come back
    handlers    scripted handler processes; handled judges from their log, handled_stories spoils logs for it
    talker      one that tells stream_model everything, which knows who must hear what; stream_histories spoils histories for it
    channel     a client of the channels dialect, and channel_frames, its rules; sensors: one of the REST API under /api/v1
    database    the store's file, read as SQLite once the store has ended
    installation  `noria up` and its processes by name; throng: all of it under load; comers: clients who come back; owed: what they were owed
    wishes      configurations, right and wrong, and whether they are in force in every process
    rawclient   sockets without manners: hostile handshakes, clients that never read
    stage       casts all of them, and strikes the set: nothing may be left over
    registry    @play, and the order in which plays run
"""
