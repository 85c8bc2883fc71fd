/* Packing, checking and the reading half of the sequence lock, which the writer needs too (re-attachment).
 *
 * A reader never trusts a length before it has bounded it, and never a body before the sequence stood still and the
 * check agreed. All words are loaded with acquire: if one of them is of a later write, that write's odd sequence is
 * visible to the second look at the sequence (SHM.md).
 */
#include "lvt_page.h"

#include <string.h>

#include "hash.h"
#include "must.h"

#define READ_ATTEMPTS 64

uint64_t lvt_identity_check(const struct lvt_identity *identity)
{
    struct lvt_identity copy = *identity;
    copy.check = 0;
    return hash_bytes(&copy, sizeof copy, LVT_MAGIC);
}

uint64_t lvt_body_pack(struct lvt_body *body, uint32_t slot, const struct lvt_machine *machine)
{
    MUST(machine->text_len <= MACHINE_TEXT_MAX);
    MUST((unsigned)machine->state.connection < CONNECTION_COUNT);
    MUST(machine_id_valid(machine->info.id, strnlen(machine->info.id, sizeof machine->info.id)));
    memset(body, 0, sizeof *body);
    body->slot = slot;
    body->text_len = machine->text_len;
    body->agent_gen = machine->agent_gen;
    body->record_position = machine->record_position;
    body->read_wall_ms = machine->state.read_wall_ms;
    body->port = machine->info.port;
    body->connection = (uint8_t)machine->state.connection;
    body->has_reading = machine->state.has_reading;
    body->raw_status = machine->state.raw_status;
    body->position = machine->state.position;
    body->simulator = machine->info.simulator;
    memcpy(body->id, machine->info.id, strnlen(machine->info.id, MACHINE_ID_MAX));
    memcpy(body->name, machine->info.name, strnlen(machine->info.name, MACHINE_NAME_MAX));
    memcpy(body->ip, machine->info.ip, strnlen(machine->info.ip, MACHINE_HOST_MAX));
    memcpy(body->text, machine->text, machine->text_len);
    return (offsetof(struct lvt_body, text) + machine->text_len + 7) / 8;
}

static bool terminated(const char *text, size_t size)
{
    return text[size - 1] == '\0';
}

static bool info_sane(const struct lvt_body *body)
{
    return body->simulator <= 1 && terminated(body->id, sizeof body->id) &&
           terminated(body->name, sizeof body->name) && terminated(body->ip, sizeof body->ip) &&
           machine_id_valid(body->id, strlen(body->id));
}

static bool body_sane(const struct lvt_body *body, uint64_t words, uint32_t slot)
{
    return body->slot == slot && body->text_len <= MACHINE_TEXT_MAX &&
           words == (offsetof(struct lvt_body, text) + body->text_len + 7) / 8 &&
           body->connection < CONNECTION_COUNT && body->has_reading <= 1 && info_sane(body);
}

static void take_info(struct machine_info *info, const struct lvt_body *body)
{
    memset(info, 0, sizeof *info);
    memcpy(info->id, body->id, sizeof body->id);
    memcpy(info->name, body->name, sizeof body->name);
    memcpy(info->ip, body->ip, sizeof body->ip);
    info->port = body->port;
    info->simulator = body->simulator != 0;
}

bool lvt_body_unpack(const struct lvt_body *body, uint64_t words, uint32_t slot, struct lvt_machine *machine)
{
    if (!body_sane(body, words, slot))
        return false;
    memset(machine, 0, offsetof(struct lvt_machine, text));
    take_info(&machine->info, body);
    machine->state = (struct machine_state){
        .connection = (enum connection_e)body->connection,
        .has_reading = body->has_reading != 0,
        .raw_status = body->raw_status,
        .position = body->position,
        .read_wall_ms = body->read_wall_ms,
    };
    machine->agent_gen = body->agent_gen;
    machine->record_position = body->record_position;
    machine->text_len = body->text_len;
    memcpy(machine->text, body->text, body->text_len);
    return true;
}

bool lvt_slot_remains(const struct lvt_slot *at, struct machine_info *info)
{
    union {
        struct lvt_body body;
        uint64_t words[LVT_BODY_WORDS];
    } copy;
    for (size_t i = 0; i < LVT_BODY_WORDS; i++)
        copy.words[i] = atomic_load_explicit(&at->body[i], memory_order_relaxed);
    if (!info_sane(&copy.body))
        return false;
    take_info(info, &copy.body);
    return true;
}

uint64_t lvt_body_check(const struct lvt_body *body, uint64_t words, const struct lvt_identity *identity)
{
    if (words == 0)
        return 0;
    return hash_bytes(body, words * 8, identity->check ^ words);
}

uint64_t lvt_used_encode(uint32_t used)
{
    return ((uint64_t)~used << 32) | used;
}

uint32_t lvt_used_get(const struct lvt_page *page, const struct lvt_identity *identity)
{
    uint64_t word = atomic_load_explicit(&page->used, memory_order_acquire);
    uint32_t used = (uint32_t)word;
    bool sound = word == lvt_used_encode(used) && used <= identity->capacity;
    return sound ? used : (uint32_t)identity->capacity;
}

/* One attempt; false if a write was, or may have been, in between. */
static bool slot_copy(const struct lvt_slot *at, uint64_t *check, uint64_t *words, struct lvt_body *body,
                      bool *leaving)
{
    uint64_t before = atomic_load_explicit(&at->sequence, memory_order_acquire);
    if (before & 1)
        return false;
    *leaving = (before & LVT_LEAVING_MASK) == LVT_LEAVING;
    *check = atomic_load_explicit(&at->check, memory_order_acquire);
    *words = atomic_load_explicit(&at->length, memory_order_acquire);
    uint64_t *to = (uint64_t *)(void *)body;
    uint64_t count = *words <= LVT_BODY_WORDS ? *words : 0;
    for (uint64_t i = 0; i < count; i++)
        to[i] = atomic_load_explicit(&at->body[i], memory_order_acquire);
    return atomic_load_explicit(&at->sequence, memory_order_relaxed) == before;
}

enum lvt_copy_e lvt_slot_read(const struct lvt_slot *at, uint32_t slot, const struct lvt_identity *identity,
                              struct lvt_machine *machine)
{
    union {
        struct lvt_body body;
        uint64_t words[LVT_BODY_WORDS];
    } copy;
    uint64_t check, words;
    bool leaving;
    int attempt = 0;
    while (!slot_copy(at, &check, &words, &copy.body, &leaving))
        if (++attempt == READ_ATTEMPTS)
            return LVT_COPY_BUSY;
    if (words > LVT_BODY_WORDS || check != lvt_body_check(&copy.body, words, identity))
        return LVT_COPY_CORRUPT;
    if (words == 0)
        return LVT_COPY_EMPTY;
    if (!lvt_body_unpack(&copy.body, words, slot, machine))
        return LVT_COPY_CORRUPT;
    return leaving ? LVT_COPY_LEAVING : LVT_COPY_OK;
}
