/* store_buffer.pml — a writer's memory as other processors see it (included by ring.pml and lvt.pml).
 *
 * A store goes into the writer's buffer, and from there to memory at any later time. Plain stores may overtake each other
 * if they are to different words (as on ARM; x86 is stricter, so what holds here holds there). A release store goes
 * only when everything before it has gone. The writer itself reads its private copies, never this memory.
 */
#define BUFFER 6

byte mem[WORDS];
byte buf_at[BUFFER], buf_value[BUFFER];
bool buf_release[BUFFER];
byte buffered;

#define RELAXED false
#define RELEASE true

inline store(word, value, order)
{
    atomic {
        buffered < BUFFER;
        buf_at[buffered] = word;
        buf_value[buffered] = value;
        buf_release[buffered] = order;
        buffered++
    }
}

/* One buffered store reaches memory. */
active proctype memory()
{
    byte i, j;
    bool may;
end:
    do
    :: atomic {
        buffered > 0;
        i = 0;
        do
        :: i + 1 < buffered -> i++
        :: break
        od;
        may = (i == 0 || !buf_release[i]);
        j = 0;
        do
        :: j < i -> may = may && buf_at[j] != buf_at[i]; j++
        :: else -> break
        od;
        if
        :: may ->
            mem[buf_at[i]] = buf_value[i];
            do
            :: i + 1 < buffered ->
                buf_at[i] = buf_at[i + 1];
                buf_value[i] = buf_value[i + 1];
                buf_release[i] = buf_release[i + 1];
                i++
            :: else -> break
            od;
            buffered--;
            buf_at[buffered] = 0;
            buf_value[buffered] = 0;
            buf_release[buffered] = false
        :: else -> skip
        fi;
        i = 0;
        j = 0;
        may = false
       }
    od
}
