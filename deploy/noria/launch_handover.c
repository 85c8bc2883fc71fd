/* launch_handover.c — see launch_handover.h. Nothing is remembered but since when a worker is away and who accepts for it; what is due
 * follows from a look at all workers, so that no order of deaths can confuse it. */
#include "launch_handover.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "family_inside.h"
#include "log.h"
#include "must.h"

static bool is_there(const struct member *member)
{
    return member->state == MEMBER_READY && !member->doomed;
}

/* Whose process has this start number and is the one in place. */
static struct member *adopter_of(struct family *family, uint64_t start)
{
    FOR_MEMBERS(member, family)
    {
        const struct process *process = member_process(member, PROCESS_NOW);
        if (is_there(member) && process != NULL && process->start == start)
            return member;
    }
    return NULL;
}

static size_t adopted_by(struct family *family, uint64_t start)
{
    size_t count = 0;
    FOR_MEMBERS(member, family)
    count += member->adopter == start;
    return count;
}

static struct member *choose(struct family *family)
{
    struct member *chosen = NULL;
    size_t least = SIZE_MAX;
    FOR_MEMBERS(member, family)
    {
        if (member->what.stage != FAMILY_WORKER || !is_there(member))
            continue;
        size_t has = adopted_by(family, member_process(member, PROCESS_NOW)->start);
        if (has < least) {
            least = has;
            chosen = member;
        }
    }
    return chosen;
}

/* "worker.3" → 3: what both sides of the packet call it. */
static uint32_t number_of(const struct member *member)
{
    const char *dot = strrchr(member->what.name, '.');
    return dot != NULL ? (uint32_t)strtoul(dot + 1, NULL, 10) : 0;
}

static enum err_e send_adopt(struct member *to, const struct member *missing)
{
    const struct child_sockets *sockets = &missing->what.sockets;
    struct control_message message = {.type = CONTROL_ADOPT, .number = number_of(missing)};
    MUST(sockets->count <= CONTROL_FDS_MAX && strlen(sockets->names) <= CONTROL_TEXT_MAX);
    memcpy(message.text, sockets->names, strlen(sockets->names) + 1);
    memcpy(message.fds, sockets->fds, sockets->count * sizeof *sockets->fds);
    message.fd_count = (unsigned)sockets->count;
    return process_send(member_process(to, PROCESS_NOW), &message);
}

static void adopt(struct family *family, struct member *missing)
{
    struct member *to = choose(family);
    if (to == NULL || missing->what.sockets.count == 0)
        return;
    enum err_e err = send_adopt(to, missing);
    uint64_t away_ms = member_ms(loop_now_ns(family->loop) - missing->absent_since_ns);
    if (err != ERR_OK) {
        log_warn("handover", "name=%s to=%s away_ms=%" PRIu64 " error=\"%s\"", missing->what.name,
                 to->what.name, away_ms, err_text(err));
        loop_timer_start(family->handover.timer, FAMILY_ABSENT_NS);
        return;
    }
    missing->adopter = member_process(to, PROCESS_NOW)->start;
    family->tally.adoptions++;
    log_info("handover", "name=%s to=%s away_ms=%" PRIu64, missing->what.name, to->what.name, away_ms);
}

static void give_back(struct family *family, struct member *back)
{
    const struct control_message message = {.type = CONTROL_DISOWN, .number = number_of(back)};
    struct member *adopter = adopter_of(family, back->adopter);
    if (adopter != NULL && process_send(member_process(adopter, PROCESS_NOW), &message) == ERR_OK)
        log_info("handover-over", "name=%s from=%s", back->what.name, adopter->what.name);
    back->adopter = 0;
}

static void review_one(struct family *family, struct member *member)
{
    uint64_t now = loop_now_ns(family->loop);
    if (is_there(member) || member->state == MEMBER_WAITING) {
        if (member->adopter != 0)
            give_back(family, member);
        member->absent_since_ns = 0;
        return;
    }
    if (member->absent_since_ns == 0)
        member->absent_since_ns = now;
    if (member->adopter != 0 && adopter_of(family, member->adopter) == NULL)
        member->adopter = 0;
    if (member->adopter == 0 && now - member->absent_since_ns >= FAMILY_ABSENT_NS)
        adopt(family, member);
    else if (member->adopter == 0 && !loop_timer_active(family->handover.timer))
        loop_timer_start_at(family->handover.timer, member->absent_since_ns + FAMILY_ABSENT_NS);
}

void handover_review(struct family *family)
{
    if (family->phase >= PHASE_STOPPING)
        return;
    FOR_MEMBERS(member, family)
    if (member->what.stage == FAMILY_WORKER && !member->doomed)
        review_one(family, member);
}

static void on_timer(void *arg)
{
    family_changed(arg);
}

enum err_e handover_init(struct family *family)
{
    family->handover.timer = loop_timer_new(family->loop, on_timer, family);
    return family->handover.timer != NULL ? ERR_OK : ERR_MEMORY;
}

void handover_fini(struct family *family)
{
    loop_timer_free(&family->handover.timer);
}
