/* family_members.c — the list of a family's members: who comes and goes while it runs, is looked at, told and heard (family.h).
 *
 * A member that is removed stays in the list until its last process is reaped, unseen; its name is free at once, and whoever takes it waits.
 */
#include <stdlib.h>
#include <string.h>

#include "family_inside.h"
#include "must.h"

static struct member *find(const struct family *family, const char *name)
{
    FOR_MEMBERS(member, family)
    if (!member->doomed && strcmp(member->what.name, name) == 0)
        return member;
    return NULL;
}

static bool waits_for_namesake(const struct family *family, const struct member *late)
{
    FOR_MEMBERS(member, family)
    if (member->doomed && strcmp(member->what.name, late->what.name) == 0)
        return true;
    return false;
}

static bool stage_has_begun(const struct family *family, const struct member *member)
{
    return family->phase == PHASE_RUNNING ||
           (family->phase == PHASE_STARTING && (int)member->what.stage <= family->stage);
}

static void start_late(struct family *family, struct member *member)
{
    if (member->state == MEMBER_WAITING && !member->doomed && stage_has_begun(family, member) &&
        !waits_for_namesake(family, member))
        member_start(member);
}

/* --- who comes and goes ----------------------------------------------------------------------------------------- */

enum err_e family_add(struct family *family, const struct family_member *what)
{
    if (family_stopping(family))
        return ERR_CLOSED;
    if (find(family, what->name) != NULL)
        return ERR_EXISTS;
    struct member **members = realloc(family->members, (family->count + 1) * sizeof *members);
    if (members == NULL)
        return ERR_MEMORY;
    family->members = members;
    struct member *member = member_new(family, what);
    if (member == NULL)
        return ERR_MEMORY;
    size_t at = family->count++ - family->doomed;
    memmove(members + at + 1, members + at, family->doomed * sizeof *members);
    members[at] = member;
    member_show(member);
    start_late(family, member);
    return ERR_OK;
}

static void put_last(struct family *family, struct member *member)
{
    size_t at = 0;
    while (family->members[at] != member)
        at++;
    memmove(family->members + at, family->members + at + 1,
            (family->count - at - 1) * sizeof *family->members);
    family->members[family->count - 1] = member;
    family->doomed++;
}

enum err_e family_remove(struct family *family, const char *name)
{
    struct member *member = find(family, name);
    if (member == NULL)
        return ERR_NOT_FOUND;
    member->doomed = member->end_expected = true;
    put_last(family, member);
    member_segment_close(&member->segment);
    if (!family_stopping(family))
        member_retire(member);
    family_changed(family);
    return ERR_OK;
}

enum err_e family_expect_end(struct family *family, const char *name)
{
    struct member *member = find(family, name);
    if (member == NULL)
        return ERR_NOT_FOUND;
    member->end_expected = true;
    return ERR_OK;
}

void family_forget_doomed(struct family *family)
{
    size_t kept = 0, before = family->count;
    for (size_t i = 0; i < before; i++) {
        struct member *member = family->members[i];
        if (member->doomed && member->processes == NULL)
            member_free(&member);
        else
            family->members[kept++] = member;
    }
    family->count = kept;
    family->doomed -= before - kept;
    if (kept == before)
        return;
    FOR_MEMBERS(member, family)
    start_late(family, member);
}

/* --- who is asked for ------------------------------------------------------------------------------------------- */

enum err_e family_restart(struct family *family, const char *name)
{
    struct member *member = find(family, name);
    if (member == NULL)
        return ERR_NOT_FOUND;
    return family_stopping(family) ? ERR_CLOSED : member_replace(member);
}

enum err_e family_drain(struct family *family, const char *name)
{
    struct member *member = find(family, name);
    if (member == NULL || member->what.stage != FAMILY_WORKER)
        return ERR_NOT_FOUND;
    return family_stopping(family) ? ERR_CLOSED : member_drain(member);
}

void family_set_drain(struct family *family, uint64_t drain_ns)
{
    family->options.drain_ns = drain_ns;
}

enum err_e family_send(struct family *family, const char *name, const struct control_message *message)
{
    struct member *member = find(family, name);
    if (member == NULL)
        return ERR_NOT_FOUND;
    struct process *process = member_process(member, PROCESS_NOW);
    return process != NULL ? process_send(process, message) : ERR_CLOSED;
}

/* --- who listens ------------------------------------------------------------------------------------------------ */

void family_listen(struct family *family, struct family_listener *listener)
{
    listener->next = family->listeners;
    family->listeners = listener;
}

void family_unlisten(struct family *family, struct family_listener *listener)
{
    if (family->next_listener == listener)
        family->next_listener = listener->next;
    for (struct family_listener **at = &family->listeners; *at != NULL; at = &(*at)->next)
        if (*at == listener) {
            *at = listener->next;
            return;
        }
}

void family_tell_changed(struct family *family)
{
    for (struct family_listener *listener = family->listeners; listener != NULL;
         listener = family->next_listener) {
        family->next_listener = listener->next;
        if (listener->changed != NULL)
            listener->changed(listener->arg);
    }
}

void family_heard(struct family *family, const struct member *member, const struct control_message *message)
{
    const struct family_view from = member_view(member);
    for (struct family_listener *listener = member->doomed ? NULL : family->listeners; listener != NULL;
         listener = family->next_listener) {
        family->next_listener = listener->next;
        if (listener->message != NULL)
            listener->message(listener->arg, &from, message);
    }
}

/* --- who is looked at ------------------------------------------------------------------------------------------- */

size_t family_count(const struct family *family)
{
    return family->count - family->doomed;
}

bool family_at(const struct family *family, size_t index, struct family_view *view)
{
    if (index >= family_count(family))
        return false;
    *view = member_view(family->members[index]);
    return true;
}

bool family_find(const struct family *family, const char *name, struct family_view *view)
{
    const struct member *member = find(family, name);
    if (member != NULL)
        *view = member_view(member);
    return member != NULL;
}

struct family_tally family_tally(const struct family *family)
{
    return family->tally;
}

pid_t family_pid(const struct family *family, const char *name)
{
    struct family_view view;
    return family_find(family, name, &view) ? view.pid : 0;
}

bool family_is_ready(const struct family *family, const char *name)
{
    struct family_view view;
    return family_find(family, name, &view) && view.state == MEMBER_READY;
}

bool family_stops(const struct family *family)
{
    return family_stopping(family);
}
