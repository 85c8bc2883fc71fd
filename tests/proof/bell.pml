/* bell.pml — going to sleep against publishing (common/shm/bell/bell.h), with a store buffer on each side.
 *
 * The broker publishes RECORDS heads; two workers share its eventfd, each with its own edge. Here the stores of one process
 * stay in order (that is not what matters) but may be seen late: a process's later load can come before its earlier
 * store is seen, unless the store is sequentially consistent, that is, waits until it is seen. When nothing moves any
 * more, every worker must have read everything: a worker asleep before an unread record is a lost wake-up.
 *
 * Defined on the command line, one at a time, each must make the proof fail:
 *   NO_RECHECK      a worker sleeps without looking at the head once more
 *   CHECK_FIRST     it looks before it has stored `sleeping`
 *   SLEEP_RELAXED   it does not wait until its `sleeping` is seen
 *   HEAD_RELAXED    the broker does not wait until its head is seen
 *   RING_FIRST      the broker looks who sleeps before it publishes
 *   WITNESS_SLEEP, WITNESS_QUIET  not mutations: somebody is really rung for, and somebody really is not
 */
#define RECORDS 3
#define WORKERS 2
#define NONE    255
#define me      (_pid - 2) /* memory is process 0, the broker 1 */

byte head;               /* memory */
bool sleeping[WORKERS];
byte head_buffered = NONE; /* the broker's store on its way */
byte sleeping_buffered[WORKERS]; /* 0 none, 1 false, 2 true */
bool edge[WORKERS];
byte position[WORKERS];

active proctype memory()
{
end:
    do
    :: atomic { head_buffered != NONE -> head = head_buffered; head_buffered = NONE }
    :: atomic { sleeping_buffered[0] > 0 -> sleeping[0] = (sleeping_buffered[0] == 2); sleeping_buffered[0] = 0 }
    :: atomic { sleeping_buffered[1] > 0 -> sleeping[1] = (sleeping_buffered[1] == 2); sleeping_buffered[1] = 0 }
    od
}

inline ring()
{
    sleeps = sleeping[0];
    sleeps = sleeps || sleeping[1];
    if
    :: sleeps ->
#ifdef WITNESS_SLEEP
        assert(false);
#endif
        atomic { edge[0] = true; edge[1] = true }
    :: else ->
#ifdef WITNESS_QUIET
        assert(false);
#endif
        skip
    fi
}

inline publish()
{
    atomic { head_buffered == NONE -> head_buffered = next };
#ifndef HEAD_RELAXED
    head_buffered == NONE;
#endif
}

active proctype broker()
{
    byte next;
    bool sleeps;
    do
    :: next < RECORDS ->
        next++;
#ifdef RING_FIRST
        ring();
        publish()
#else
        publish();
        ring()
#endif
    :: else -> break
    od
}

inline sleeping_store(value)
{
    atomic { sleeping_buffered[me] == 0 -> sleeping_buffered[me] = 1 + value }
}

active [WORKERS] proctype worker()
{
    byte seen;
end:
    do
    :: seen = head;
        if
        :: seen > position[me] -> position[me] = seen /* drained: read it all, look again */
        :: else ->
#ifdef CHECK_FIRST
            seen = head;
#endif
            sleeping_store(1);
#ifndef SLEEP_RELAXED
            sleeping_buffered[me] == 0;
#endif
#if !defined(NO_RECHECK) && !defined(CHECK_FIRST)
            seen = head;
#endif
            if
            :: seen > position[me] -> skip
            :: else ->
end_sleep:
                atomic { edge[me] -> edge[me] = false }
            fi;
            sleeping_store(0)
        fi;
        seen = 0
    od
}

active proctype judge()
{
    timeout -> assert(position[0] == RECORDS && position[1] == RECORDS)
}
