/* watch_machines.c — see watch_machines.h. A reader of the ring with its own handling of laps: seeded from the last-value table as a worker is, from the
 * position up to which that was settled, so that no state is missed between table and ring. */
#include "watch_machines.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "lvt_reader.h"
#include "map.h"
#include "must.h"
#include "proc.h"
#include "ring_reader.h"
#include "segment.h"
#include "watch_line.h"

#define IDLE_MS        20                /* between two looks at a ring where nothing happens */
#define BROKER_LOOK_NS (250 * NS_PER_MS) /* between two looks whether the broker lives */
#define SOURCE_MAX_NS  (3600 * NS_PER_S) /* an older source is of another clock */
#define SLOT_RETRIES   100

struct watched {
    char id[MACHINE_ID_MAX + 1];
    json_t *state;     /* the last that was shown; NULL: none */
    uint64_t position; /* of the record of its last state */
    bool seen;         /* in the table, at the last look */
};

struct watch {
    struct watch_options options;
    char ring_path[PATH_MAX], lvt_path[PATH_MAX], broker_path[PATH_MAX];
    struct ring_reader *ring; /* NULL: there is none now */
    bool attached_before, gap_told;
    struct map machines; /* hash of the id → struct watched */
    bool broker_known, broker_up;
    uint64_t broker_looked_ns, broker_incarnation;
    struct ring_record record;
};

/* --- machines --------------------------------------------------------------------------------------------------------- */

static bool wanted(const struct watch *watch, const char *id)
{
    for (size_t i = 0; i < watch->options.machine_count; i++)
        if (strcmp(watch->options.machines[i], id) == 0)
            return true;
    return watch->options.machine_count == 0;
}

/* NULL: not wanted, no id, or no memory. */
static struct watched *machine_of(struct watch *watch, const char *id, size_t len)
{
    if (!machine_id_valid(id, len))
        return NULL;
    uint64_t key = hash_bytes(id, len, 0) | 1;
    struct watched *machine = map_get(&watch->machines, key);
    if (machine != NULL)
        return strlen(machine->id) == len && memcmp(machine->id, id, len) == 0 ? machine : NULL;
    machine = calloc(1, sizeof *machine);
    if (machine == NULL)
        return NULL;
    memcpy(machine->id, id, len);
    if (!wanted(watch, machine->id) || map_put(&watch->machines, key, machine) != ERR_OK) {
        free(machine);
        return NULL;
    }
    return machine;
}

static void forget(struct watched *machine)
{
    json_decref(machine->state);
    machine->state = NULL;
}

/* --- lines ------------------------------------------------------------------------------------------------------------- */

static struct watch_line line_of(const struct watch *watch, const char *event, const char *machine)
{
    return (struct watch_line){.out = watch->options.out,
                               .json = watch->options.json,
                               .wall_ms = clock_wall_ms(watch->options.clock),
                               .machine = machine,
                               .event = event,
                               .age_ms = -1};
}

static void say(const struct watch *watch, const char *event, const char *machine, const char *words)
{
    struct watch_line line = line_of(watch, event, machine);
    watch_line_words(&line, words);
}

/* `text` is the run of members that machine_state_text() makes, or anything. */
static json_t *parse_state(const char *text, size_t len)
{
    char object[MACHINE_TEXT_MAX + 2];
    if (len > MACHINE_TEXT_MAX)
        return NULL;
    object[0] = '{';
    memcpy(object + 1, text, len);
    object[len + 1] = '}';
    return json_loadb(object, len + 2, JSON_REJECT_DUPLICATES, NULL);
}

/* Takes `state`. */
static void show_state(struct watched *machine, const struct watch_line *line, json_t *state)
{
    watch_line_state(line, machine->state, state);
    forget(machine);
    machine->state = state;
}

/* --- the table --------------------------------------------------------------------------------------------------------- */

static void take_slot(struct watch *watch, const struct lvt_machine *content)
{
    struct watched *machine =
        machine_of(watch, content->info.id, strnlen(content->info.id, sizeof content->info.id));
    json_t *state = machine != NULL ? parse_state(content->text, content->text_len) : NULL;
    if (machine == NULL)
        return;
    machine->seen = true;
    machine->position = content->record_position;
    if (state == NULL)
        return;
    struct watch_line line = line_of(watch, "state", machine->id);
    show_state(machine, &line, state);
}

static void each_machine(struct watch *watch, void (*tell)(struct watch *, struct watched *))
{
    for (size_t i = 0; i < watch->machines.capacity; i++)
        if (watch->machines.entries[i].key != 0)
            tell(watch, watch->machines.entries[i].value);
}

static void unsee(struct watch *watch, struct watched *machine)
{
    (void)watch;
    machine->seen = false;
}

static void tell_absent(struct watch *watch, struct watched *machine)
{
    if (machine->seen || machine->state == NULL)
        return;
    say(watch, "machine", machine->id, "removed");
    forget(machine);
}

static void take_slots(struct watch *watch, const struct lvt_reader *lvt, struct lvt_machine *content)
{
    each_machine(watch, unsee);
    uint32_t used = lvt_reader_used(lvt);
    for (uint32_t slot = 0; slot < used; slot++) {
        enum lvt_status_e status = LVT_BUSY;
        for (int i = 0; i < SLOT_RETRIES && status == LVT_BUSY; i++)
            status = lvt_reader_get(lvt, slot, content);
        if (status == LVT_OK)
            take_slot(watch, content);
    }
    each_machine(watch, tell_absent);
}

/* What the table holds, and the ring from where that ends. */
static enum err_e seed(struct watch *watch)
{
    struct lvt_reader *lvt;
    uint64_t settled;
    enum err_e err = lvt_reader_open(watch->lvt_path, &lvt);
    if (err != ERR_OK)
        return err;
    struct lvt_machine *content = malloc(sizeof *content);
    if (content == NULL)
        err = ERR_MEMORY;
    else if (lvt_reader_ring_id(lvt) != ring_reader_id(watch->ring) || !lvt_reader_settled(lvt, &settled))
        err = ERR_NOT_FOUND; /* one of them is about to be replaced */
    if (err == ERR_OK) {
        (void)ring_reader_seek(watch->ring, settled); /* overwritten by now: it stands at the head */
        take_slots(watch, lvt, content);
    }
    watch->gap_told = watch->gap_told && err != ERR_OK;
    free(content);
    lvt_reader_close(&lvt);
    return err;
}

/* --- the ring ---------------------------------------------------------------------------------------------------------- */

static int64_t age_of(const struct watch *watch)
{
    uint64_t now_ns = clock_mono_ns(watch->options.clock), source_ns = watch->record.source_ns;
    return source_ns != 0 && source_ns <= now_ns && now_ns - source_ns < SOURCE_MAX_NS
               ? (int64_t)((now_ns - source_ns) / NS_PER_MS)
               : -1;
}

/* The machine that a record's topics name: "state/lift-1". */
static struct watched *machine_of_topics(struct watch *watch)
{
    for (uint32_t i = 0; i < watch->record.topic_count; i++) {
        const struct ring_topic *topic = &watch->record.topics[i];
        const char *slash = memchr(topic->name, '/', topic->len);
        size_t before = slash != NULL ? (size_t)(slash - topic->name) + 1 : topic->len;
        struct watched *machine =
            before < topic->len ? machine_of(watch, slash + 1, topic->len - before) : NULL;
        if (machine != NULL)
            return machine;
    }
    return NULL;
}

static void show_state_record(struct watch *watch, struct watch_line *line)
{
    const struct ring_record *record = &watch->record;
    const struct record_state *meta = record->meta;
    struct watched *machine = machine_of_topics(watch);
    if (machine == NULL || record->position <= machine->position)
        return;
    json_t *state = parse_state((const char *)record->frame + meta->text_offset, meta->text_len);
    machine->position = record->position;
    if (state == NULL)
        return;
    line->machine = machine->id;
    line->age_ms = age_of(watch);
    show_state(machine, line, state);
}

/* RFC 6455, 5.2: an unmasked frame's header is as long as its second byte says. */
static json_t *payload_of(const struct ring_record *record)
{
    const unsigned char *frame = record->frame;
    size_t header = record->frame_len < 2 ? SIZE_MAX : frame[1] < 126 ? 2 : frame[1] == 126 ? 4 : 10;
    if (header >= record->frame_len)
        return NULL;
    return json_loadb((const char *)frame + header, record->frame_len - header, JSON_REJECT_DUPLICATES, NULL);
}

static void show_message_record(struct watch *watch, struct watch_line *line)
{
    const struct ring_record *record = &watch->record;
    struct watched *machine = machine_of_topics(watch);
    if (machine == NULL && record->kind != RECORD_REFUSAL)
        return;
    json_t *message = payload_of(record);
    const char *named = json_string_value(json_object_get(message, "machine_id"));
    if (machine == NULL && named != NULL)
        machine = machine_of(watch, named, strlen(named));
    if (machine != NULL && message != NULL) {
        line->machine = machine->id;
        watch_line_message(line, message);
    }
    json_decref(message);
    if (machine != NULL && record->kind == RECORD_MACHINE)
        forget(machine);
}

static void show_record(struct watch *watch)
{
    static const char *const events[RECORD_KIND_COUNT] = {
        [RECORD_STATE] = "state",     [RECORD_RESULT] = "result", [RECORD_COMPLETION] = "completed",
        [RECORD_REFUSAL] = "refused", [RECORD_EVENT] = "alarm",   [RECORD_MACHINE] = "machine"};
    const struct ring_record *record = &watch->record;
    if (record->dialect != DIALECT_CAROUSEL || events[record->kind] == NULL)
        return;
    struct watch_line line = line_of(watch, events[record->kind], NULL);
    line.wall_ms = record->wall_ms;
    if (record->kind == RECORD_STATE)
        show_state_record(watch, &line);
    else
        show_message_record(watch, &line);
}

/* Once until what follows was told. */
static void tell_gap(struct watch *watch, const char *why)
{
    if (!watch->gap_told)
        say(watch, "gap", NULL, why);
    watch->gap_told = true;
}

static void gap(struct watch *watch, const char *why)
{
    tell_gap(watch, why);
    if (seed(watch) != ERR_OK)
        ring_reader_close(&watch->ring);
}

/* A ring whose table is not there yet is tried again with the next turn. */
static enum err_e attach(struct watch *watch)
{
    enum err_e err = ring_reader_open(watch->ring_path, &watch->ring);
    if (err != ERR_OK)
        return err;
    if (watch->attached_before)
        tell_gap(watch, "new ring: what was published meanwhile is lost; what differs now follows");
    err = seed(watch);
    if (err != ERR_OK)
        ring_reader_close(&watch->ring);
    else
        watch->attached_before = true;
    return err;
}

static bool take_next(struct watch *watch)
{
    switch (ring_reader_next(watch->ring, &watch->record)) {
    case RING_MORE:
        show_record(watch);
        return true;
    case RING_LAPPED:
        gap(watch, "lapped: what was published meanwhile is lost; what differs now follows");
        return watch->ring != NULL;
    case RING_CORRUPT:
        gap(watch, "a damaged record: what it said is lost; what differs now follows");
        return watch->ring != NULL;
    case RING_GONE:
        ring_reader_close(&watch->ring);
        return false;
    case RING_EMPTY:
        break;
    }
    return false;
}

/* --- turns ------------------------------------------------------------------------------------------------------------- */

/* A broker that follows may have made another ring; one that was not retired, because somebody removed it, would be waited for in vain. */
static void look_for_ring(struct watch *watch)
{
    struct ring_reader *there;
    if (watch->ring == NULL || ring_reader_open(watch->ring_path, &there) != ERR_OK)
        return;
    bool same = ring_reader_id(there) == ring_reader_id(watch->ring);
    ring_reader_close(&there);
    if (!same)
        ring_reader_close(&watch->ring);
}

static void look_for_broker(struct watch *watch)
{
    uint64_t now_ns = clock_mono_ns(watch->options.clock), incarnation;
    if (watch->broker_known && now_ns - watch->broker_looked_ns < BROKER_LOOK_NS)
        return;
    bool up = segment_is_held(watch->broker_path, &incarnation);
    if (up != watch->broker_up && (watch->broker_known || !up))
        say(watch, "broker", NULL, up ? "back" : "gone: nothing is published until it is back");
    else if (!watch->broker_known && !up)
        say(watch, "broker", NULL, "not running: nothing is published until it is");
    if (up && incarnation != watch->broker_incarnation)
        look_for_ring(watch);
    watch->broker_incarnation = up ? incarnation : watch->broker_incarnation;
    watch->broker_up = up;
    watch->broker_known = true;
    watch->broker_looked_ns = now_ns;
}

enum err_e watch_turn(struct watch *watch, bool *more)
{
    int left = WATCH_TURN_MAX;
    *more = false;
    if (watch->ring == NULL)
        (void)attach(watch);
    while (watch->ring != NULL && left > 0 && take_next(watch))
        left--;
    *more = left == 0;
    if (!*more)
        look_for_broker(watch);
    return fflush(watch->options.out) == 0 && !ferror(watch->options.out) ? ERR_OK : ERR_SYSTEM;
}

static enum err_e name_paths(struct watch *watch)
{
    const struct {
        const char *name;
        char *path;
    } all[] = {{"ring", watch->ring_path}, {"lvt", watch->lvt_path}, {"broker", watch->broker_path}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int len = snprintf(all[i].path, PATH_MAX, "%s/shm/%s", watch->options.runtime_dir, all[i].name);
        if (len < 0 || len >= PATH_MAX)
            return ERR_TOO_LARGE;
    }
    return ERR_OK;
}

enum err_e watch_new(const struct watch_options *options, struct watch **watch)
{
    struct watch *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_MEMORY;
    made->options = *options;
    map_init(&made->machines);
    enum err_e err = name_paths(made);
    if (err == ERR_OK)
        err = ring_reader_open(made->ring_path, &made->ring);
    ring_reader_close(&made->ring); /* the first turn attaches */
    if (err != ERR_OK)
        watch_free(&made);
    *watch = made;
    return err;
}

static void free_machine(struct watch *watch, struct watched *machine)
{
    (void)watch;
    forget(machine);
    free(machine);
}

void watch_free(struct watch **watch)
{
    struct watch *gone = *watch;
    *watch = NULL;
    if (gone == NULL)
        return;
    ring_reader_close(&gone->ring);
    each_machine(gone, free_machine);
    map_fini(&gone->machines);
    free(gone);
}

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    (void)number;
    told_to_end = 1;
}

static void take_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Also the end of who reads the output is noticed while nothing happens. */
static bool rest(const struct watch *watch)
{
    struct pollfd reader = {.fd = fileno(watch->options.out)};
    return poll(&reader, 1, IDLE_MS) <= 0 || !(reader.revents & (POLLERR | POLLHUP | POLLNVAL));
}

int watch_run(const struct watch_options *options)
{
    struct watch *watch;
    bool more;
    enum err_e err = watch_new(options, &watch);
    if (err != ERR_OK) {
        fprintf(stderr, "noria watch: %s/shm: %s\n", options->runtime_dir,
                err == ERR_NOT_FOUND ? "nothing runs there" : err_text(err));
        return PROC_EXIT_FAILURE;
    }
    take_signals();
    while (!told_to_end && watch_turn(watch, &more) == ERR_OK && (more || rest(watch)))
        continue;
    watch_free(&watch);
    return 0;
}
