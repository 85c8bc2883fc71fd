/* replace.pml — one file takes another's name (ring_writer.c and lvt_writer.c, create()): a broker starts with another size.
 *
 * The new file is made whole, the old one marked as retired, the name given to the new one; once, at any point, the writer may be killed,
 * and a successor attaches to what has the name: it goes on in a whole file that is not retired, and replaces any other. A reader stands on
 * the first file; told that it is retired, it opens by name, and takes only what is whole and not retired. When nothing moves any
 * more, the reader stands where the living writer writes, and never stood on half a file.
 *
 * Defined on the command line, one at a time, each must make the proof fail:
 *   RENAME_FIRST   the name is given before the old file is retired
 *   NAME_EARLY     the name is given before the new file is whole
 *   TAKES_RETIRED  the successor goes on in a retired file
 *   WITNESS_KILL, WITNESS_MOVED  not mutations: they show that the model gets there at all
 *
 * Files are numbered. The old one, 0, has the wrong size for every writer here.
 */
#define FILES 4
bool whole[FILES], retired[FILES];
byte name, next_file = 1, writes_to = FILES, stands_on;
bool kill_now, killed;

init { whole[0] = true }

active proctype killer() /* at any point, or never */
{
    if
    :: kill_now = true
    :: skip
    fi
}

inline replace()
{
    atomic { mine = next_file; next_file++; old = name };
#ifdef NAME_EARLY
    retired[old] = true;
    name = mine;
    whole[mine] = true;
#else
    whole[mine] = true;
#ifdef RENAME_FIRST
    name = mine;
    retired[old] = true;
#else
    retired[old] = true;
    name = mine;
#endif
#endif
    writes_to = mine
}

active proctype writer()
{
    byte mine, old;
    whole[0];
    {
        replace()
    } unless {
        atomic { kill_now; kill_now = false; killed = true; writes_to = FILES };
#ifdef WITNESS_KILL
        assert(!retired[name]);
#endif
        if
#ifdef TAKES_RETIRED
        :: name != 0 || retired[name] -> writes_to = name
        :: else -> replace()
#else
        :: name != 0 && whole[name] && !retired[name] -> writes_to = name
        :: else -> replace()
#endif
        fi
    }
}

active proctype reader()
{
    whole[0];
end:
    do
    :: atomic { retired[stands_on] && stands_on != name ->
        assert(whole[name]); /* else it would have mapped half a file */
        if
        :: !retired[name] -> stands_on = name
        :: else -> skip
        fi;
#ifdef WITNESS_MOVED
        assert(stands_on == 0);
#endif
        skip
       }
    od
}

active proctype judge()
{
    timeout -> assert(writes_to == name && stands_on == writes_to && !retired[stands_on])
}
