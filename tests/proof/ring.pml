/* ring.pml — the ring's memory order (common/shm/SHM.md), with a writer that may die at any store.
 *
 * A ring of two records of two words each; the writer appends RECORDS of them and publishes one or two at a time; once, at
 * any point, it may be killed, and a successor attaches. A word's value says which record it belongs to and which writer
 * wrote it. The reader has no check to fall back on: order alone must keep every torn or overwritten record from it.
 *
 * Defined on the command line, one at a time, each must make the proof fail:
 *   HEAD_FIRST       head published before the words
 *   HEAD_RELAXED     head stored without release
 *   RESERVE_LATE     reserve stored after the words
 *   WORDS_RELAXED    words stored without release: they may overtake reserve
 *   READ_RESERVE_FIRST  words loaded without acquire: the look at reserve may come before them
 *   NO_LAP_CHECK     no look at reserve
 *   RESERVE_BACK     a successor sets reserve back to head
 *   WITNESS_READ, WITNESS_LAP, WITNESS_KILL  not mutations: they show that the model gets there at all
 */
#define SIZE    2
#define RECORDS 5
#define HEAD    0
#define RESERVE 1
#define WORD(position, k) (2 + ((position) % SIZE) * 2 + (k))
#define WORDS   6
#define VALUE(position, writer) ((position) * 2 + (writer) + 1)

#include "store_buffer.pml"

bool kill_now, killed;

active proctype killer() /* at any point, or never */
{
    if
    :: kill_now = true
    :: skip
    fi
}

#ifdef HEAD_RELAXED
#define HEAD_ORDER RELAXED
#else
#define HEAD_ORDER RELEASE
#endif
#ifdef WORDS_RELAXED
#define WORD_ORDER RELAXED
#else
#define WORD_ORDER RELEASE
#endif

inline reserve_to(end)
{
    if
    :: end > reserve -> reserve = end
    :: else -> skip
    fi;
    store(RESERVE, reserve, RELAXED)
}

inline append()
{
#ifndef RESERVE_LATE
    reserve_to(next + 1);
#endif
#ifdef HEAD_FIRST
    store(HEAD, next + 1, HEAD_ORDER);
#endif
    store(WORD(next, 0), VALUE(next, killed), WORD_ORDER);
    store(WORD(next, 1), VALUE(next, killed), WORD_ORDER);
#ifdef RESERVE_LATE
    reserve_to(next + 1);
#endif
    next++
}

active proctype writer()
{
    byte next, reserve;
    {
        do
        :: next < RECORDS ->
            append();
            if
            :: store(HEAD, next, HEAD_ORDER)
            :: next < RECORDS -> skip /* publish later, with the next one */
            fi
        :: else -> break
        od
    } unless {
        /* kill -9: what is in the buffer still reaches memory; the successor's boot comes after that. */
        atomic { kill_now; kill_now = false; killed = true };
#ifdef WITNESS_KILL
        assert(false);
#endif
        buffered == 0;
        atomic { next = mem[HEAD]; reserve = mem[RESERVE] };
#ifdef RESERVE_BACK
        reserve = next;
        store(RESERVE, reserve, RELAXED);
#endif
        do
        :: next < RECORDS -> append(); store(HEAD, next, HEAD_ORDER)
        :: else -> break
        od
    }
}

active proctype reader()
{
    byte position, head, reserve, first, second;
end:
    do
    :: atomic { mem[HEAD] > position; head = mem[HEAD] };
#ifdef READ_RESERVE_FIRST
        reserve = mem[RESERVE];
#endif
        first = mem[WORD(position, 0)];
        second = mem[WORD(position, 1)];
#ifndef READ_RESERVE_FIRST
        reserve = mem[RESERVE];
#endif
#ifdef NO_LAP_CHECK
        reserve = 0;
#endif
        atomic {
            if
            :: reserve > position + SIZE ->
#ifdef WITNESS_LAP
                assert(false);
#endif
                position = head
            :: else ->
                assert(first == second && (first == VALUE(position, 0) || first == VALUE(position, 1)));
#ifdef WITNESS_READ
                assert(position < RECORDS - 1);
#endif
                position++
            fi;
            head = 0;
            reserve = 0;
            first = 0;
            second = 0
        }
    od
}
