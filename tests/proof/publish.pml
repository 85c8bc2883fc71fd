/* publish.pml — ring, last-value table and whoever reads both (broker/publish.c, broker/reattach.c, fanout/tail.c).
 *
 * One machine. Its broker publishes STATES states, each: append, publish the head, put the slot; once, at any point, it may be killed,
 * and a successor compares the slot with the machine's last record and publishes it again where they differ; the agent
 * then brings what was never published. A worker starts at any time: it finds its place, seeds its mirror from the slot, and then
 * reads the ring, dropping what is older than what it has; it begins not at the head, but where the broker says that the slot is settled. Each step is atomic here: the orders within are ring.pml's and lvt.pml's.
 *
 * What a client sees never goes back, and when nothing moves any more it is the last state; so is the slot.
 *
 * Defined on the command line, one at a time, each must make the proof fail:
 *   LVT_FIRST        the slot is put before the record is appended
 *   LVT_BEFORE_HEAD  the slot is put before the head is published
 *   NO_REPAIR        the successor does not compare slot and last record
 *   AT_THE_HEAD      the worker begins at the head (as it did until this model was made)
 *   SETTLED_EARLY    the broker says settled when the head is public, before the slot is put
 *   SEED_FIRST       the worker reads the slot before it finds its place
 *   TAKES_OLD        the worker does not drop records that are older than its slot
 *   WITNESS_KILL, WITNESS_SEED, WITNESS_OLD  not mutations: they show that the model gets there at all
 */
#define STATES  3
#define RECORDS 8

byte record[RECORDS], head = 1; /* record[0] is the state that the table began with */
byte slot_state, slot_position, settled = 1;
byte shown;
bool kill_now, killed, attached, done;

active proctype killer() /* at any point, or never */
{
    if
    :: kill_now = true
    :: skip
    fi
}

inline put(state, position)
{
    atomic { slot_state = state; slot_position = position }
}

inline publish(state)
{
#ifdef LVT_FIRST
    put(state, head);
#endif
    record[head] = state;
#ifdef LVT_BEFORE_HEAD
    put(state, head);
#endif
    head++;
#ifdef SETTLED_EARLY
    settled = head;
#endif
#if !defined(LVT_FIRST) && !defined(LVT_BEFORE_HEAD)
    put(state, head - 1);
#endif
    settled = head
}

active proctype broker()
{
    byte state;
    {
        do
        :: state < STATES -> publish(state + 1); state++
        :: else -> break
        od
    } unless {
        atomic { kill_now; kill_now = false; killed = true };
#ifdef WITNESS_KILL
        assert(slot_state == record[head - 1]);
#endif
        atomic { state = record[head - 1] };
#ifndef NO_REPAIR
        if
        :: slot_state != state || slot_position != head - 1 -> publish(state)
        :: else -> skip
        fi;
#endif
        settled = head;
        do
        :: state < STATES -> publish(state + 1); state++
        :: else -> break
        od
    };
    done = true
}

active proctype worker()
{
    byte position, mine;
#ifdef SEED_FIRST
    atomic { shown = slot_state; mine = slot_position };
    position = settled;
#else
#ifdef AT_THE_HEAD
    position = head;
#else
    position = settled;
#endif
    atomic { shown = slot_state; mine = slot_position };
#endif
#ifdef WITNESS_SEED
    assert(mine < position);
#endif
    attached = true;
end:
    do
    :: atomic { position < head ->
        if
#ifndef TAKES_OLD
        :: position < mine ->
#ifdef WITNESS_OLD
            assert(false);
#endif
            skip
#endif
#ifdef TAKES_OLD
        :: true ->
#else
        :: else ->
#endif
            assert(record[position] >= shown); /* a client never sees an older state after a newer one */
            shown = record[position];
            mine = position
        fi;
        position++
       }
    od
}

active proctype judge()
{
    timeout -> assert(done && attached && shown == STATES && slot_state == STATES && record[head - 1] == STATES)
}
