/* lvt.pml — one slot of the last-value table under its sequence lock, with a writer that may die at any store.
 *
 * The slot has two words; the writer puts PUTS values, and marks the slot as leaving once in between; once, at any point, it may be
 * killed, and a successor empties a slot that was left odd, keeps a leaving one's words, and goes on. The reader has no check to fall
 * back on. A leaving slot reads as empty and holds what it held; the last put is seen in the end.
 *
 * Defined on the command line, one at a time, each must make the proof fail:
 *   NOT_ODD        the sequence is not made odd
 *   ODD_LATE       the sequence is made odd after the words
 *   WORDS_RELAXED  words stored without release: they may overtake the odd sequence
 *   EVEN_RELAXED   the even sequence stored without release: it may overtake the words
 *   ONE_LOOK       the reader does not look at the sequence again
 *   LOOK_EARLY     words loaded without acquire: the second look may come before them
 *   TAKES_ODD      the reader does not mind an odd sequence
 *   REPAIR_EVEN    the successor makes an odd slot even and leaves its words
 *   MARK_KEPT      a put leaves the leaving mark in the sequence
 *   MARK_BY_PUT    leaving is two stores: the mark in a sequence that is odd meanwhile, so that a killed writer loses who left
 *   WITNESS_READ, WITNESS_ODD, WITNESS_LEAVING  not mutations: they show that the model gets there at all
 */
#define PUTS     3
#define SEQUENCE 0
#define FIRST    1
#define SECOND   2
#define WORDS    3
#define LEAVING  64

#include "store_buffer.pml"

bool kill_now, killed, done;
bool left, in_leave, is_leaving; /* once; just now; nobody was put since */

active proctype killer() /* at any point, or never */
{
    if
    :: kill_now = true
    :: skip
    fi
}

#ifdef WORDS_RELAXED
#define WORD_ORDER RELAXED
#else
#define WORD_ORDER RELEASE
#endif
#ifdef EVEN_RELAXED
#define EVEN_ORDER RELAXED
#else
#define EVEN_ORDER RELEASE
#endif

inline leave()
{
    left = true;
    in_leave = true;
    is_leaving = true;
#ifdef MARK_BY_PUT
    store(SEQUENCE, sequence + 1, RELAXED);
    sequence = sequence + 2;
#endif
    sequence = sequence + LEAVING;
    store(SEQUENCE, sequence, RELEASE);
    in_leave = false
}

inline put(value)
{
    is_leaving = false;
#ifndef MARK_KEPT
    if
    :: sequence >= LEAVING -> sequence = sequence - LEAVING
    :: else -> skip
    fi;
#endif
#if !defined(NOT_ODD) && !defined(ODD_LATE)
    store(SEQUENCE, sequence + 1, RELAXED);
#endif
    store(FIRST, value, WORD_ORDER);
    store(SECOND, value, WORD_ORDER);
#ifdef ODD_LATE
    store(SEQUENCE, sequence + 1, RELAXED);
#endif
    store(SEQUENCE, sequence + 2, EVEN_ORDER);
    sequence = sequence + 2
}

active proctype writer()
{
    byte sequence, value;
    {
        do
        :: value < PUTS -> value++; put(value)
        :: !left && value > 0 -> leave()
        :: else -> break
        od
    } unless {
        atomic { kill_now; kill_now = false; killed = true };
        buffered == 0;
        assert(!in_leave || mem[SEQUENCE] % 2 == 0); /* else the successor empties the slot: nobody knows who left */
        atomic { sequence = mem[SEQUENCE]; value = PUTS + 1 };
        if
        :: sequence % 2 == 1 ->
#ifdef WITNESS_ODD
            assert(false);
#endif
            sequence--; /* put() stores the odd one again */
#ifdef REPAIR_EVEN
            store(SEQUENCE, sequence + 2, EVEN_ORDER);
            sequence = sequence + 2
#else
            put(0)
#endif
        :: else -> skip
        fi;
        put(value)
    };
    done = true
}

active proctype reader()
{
    byte before, after, first, second;
end:
    do
    :: before = mem[SEQUENCE];
#ifdef LOOK_EARLY
        after = mem[SEQUENCE];
#endif
        first = mem[FIRST];
        second = mem[SECOND];
#ifndef LOOK_EARLY
        after = mem[SEQUENCE];
#endif
#ifdef ONE_LOOK
        after = before;
#endif
        atomic {
            if
#ifdef TAKES_ODD
            :: before == after ->
#else
            :: before == after && before % 2 == 0 && before < LEAVING ->
#endif
                assert(first == second);
#ifdef WITNESS_READ
                assert(first != PUTS + 1);
#endif
#ifdef WITNESS_LEAVING
            :: before == after && before >= LEAVING -> assert(false)
#endif
            :: else -> skip
            fi;
            before = 0;
            after = 0;
            first = 0;
            second = 0
        }
    od
}

active proctype judge()
{
    atomic {
        done && buffered == 0;
        assert(mem[SEQUENCE] % 2 == 0 && (mem[SEQUENCE] >= LEAVING) == is_leaving && mem[FIRST] == mem[SECOND])
    }
}
