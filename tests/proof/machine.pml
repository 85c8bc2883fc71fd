/* machine.pml — a machine leaves (broker/machine_set.c, broker/reattach.c), told once and to everybody.
 *
 * The broker marks the slot as leaving, publishes the event, clears the slot; once, at any point, it may be killed, and a successor goes on
 * from what stands: a leaving slot whose event the ring has is only cleared, else it is told first. A worker knows the machine, and reads
 * the table again when it hears the event. When nothing moves any more, the event stands in the ring exactly once, the slot is
 * empty, and the worker has forgotten the machine. No worker hears of a machine's end while the table still shows it.
 *
 * Defined on the command line, one at a time, each must make the proof fail:
 *   CLEAR_FIRST   the slot is cleared before the event is published
 *   EVENT_FIRST   the event is published before the slot is marked
 *   NO_MARK       the slot is not marked, but cleared in the end
 *   NO_LOOK       the successor tells without a look at the ring
 *   FORGETS       the successor does not look for leaving slots
 *   WITNESS_KILL, WITNESS_TOLD  not mutations: they show that the model gets there at all
 */
mtype = { SHOWN, LEAVING, EMPTY };
mtype slot = SHOWN;
byte events;
bool known = true, kill_now, killed, done;

active proctype killer() /* at any point, or never */
{
    if
    :: kill_now = true
    :: skip
    fi
}

inline mark()
{
#ifndef NO_MARK
    slot = LEAVING
#else
    skip
#endif
}

inline leave()
{
#ifdef EVENT_FIRST
    events++;
    mark();
    slot = EMPTY
#else
    mark();
#ifdef CLEAR_FIRST
    slot = EMPTY;
    events++
#else
    events++;
    slot = EMPTY
#endif
#endif
}

active proctype broker()
{
    {
        leave()
    } unless {
        atomic { kill_now; kill_now = false; killed = true };
#ifdef WITNESS_KILL
        assert(slot != LEAVING || events == 1);
#endif
        if
#ifndef FORGETS
        :: slot == LEAVING ->
            if
#ifndef NO_LOOK
            :: events > 0 ->
#ifdef WITNESS_TOLD
                assert(false);
#endif
                skip
#endif
#ifdef NO_LOOK
            :: true -> events++
#else
            :: else -> events++
#endif
            fi;
            slot = EMPTY
#endif
        :: slot == SHOWN -> leave() /* it is not configured any more: it leaves now */
        :: else -> skip
        fi
    };
    done = true
}

active proctype worker()
{
    byte heard;
end:
    do
    :: atomic { heard < events ->
        heard++;
        assert(slot != SHOWN);
        known = (slot == SHOWN)
       }
    od
}

active proctype judge()
{
    timeout -> assert(done && events == 1 && slot == EMPTY && !known)
}
