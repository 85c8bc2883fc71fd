#include "fanout_stage.h"

#include "bytes.h"

/* --- played sockets ------------------------------------------------------------------------------------------------- */

static enum err_e sink_writev(void *sink, const struct iovec *pieces, int count, size_t *taken)
{
    struct socket *s = sink;
    *taken = 0;
    for (int i = 0; i < count; i++) {
        const unsigned char *at = pieces[i].iov_base;
        for (size_t left = pieces[i].iov_len; left > 0;) {
            size_t frame = ws_frame_total_len(at, left);
            assert_true(frame > 0 && frame <= left); /* pieces start and end at frames */
            if (s->room == 0)
                return ERR_OK;
            s->remainder = frame > s->room;
            s->room = s->remainder ? 0 : s->room - frame;
            assert_true(s->heard_len + frame <= HEARD_MAX);
            memcpy(s->heard + s->heard_len, at, frame);
            s->heard_len += frame;
            *taken += frame;
            at += frame;
            left -= frame;
        }
    }
    return ERR_OK;
}

static bool sink_can_write(void *sink)
{
    const struct socket *s = sink;
    return !s->remainder && !s->closed;
}

static void sink_close(void *sink, unsigned code, const char *reason)
{
    struct socket *s = sink;
    (void)reason;
    s->closed = true;
    s->close_code = code;
}

/* --- as a dialect would ---------------------------------------------------------------------------------------------- */

static size_t write_states(void *arg, struct client *client, const struct mirror_machine *const *machines,
                           uint32_t count, uint64_t position, void *frame, size_t cap)
{
    (void)arg;
    (void)client;
    unsigned char *payload = (unsigned char *)frame + WS_HEADER_MAX;
    struct out out = out_init(payload, cap - WS_HEADER_MAX);
    for (uint32_t i = 0; i < count; i++)
        out_bytes(&out, machines[i]->text, machines[i]->text_len);
    if (position > 0) {
        out_char(&out, '#');
        out_u64(&out, position / RECORD_ALIGN - 1);
        out_char(&out, ';');
    }
    size_t header = ws_frame_header_len(out.len);
    memmove((unsigned char *)frame + header, payload, out.len);
    ws_frame_prepend((unsigned char *)frame + header, out.len, WS_TEXT);
    return header + out.len;
}

static void tell_gap(void *arg, struct client *client)
{
    struct stage *stage = arg;
    unsigned char frame[16];
    stage->gaps++;
    outbox_own_frame(&stage->outbox, client, frame, make_frame(frame, "G;", 2, 0));
}

static void on_origin(void *arg, const struct ring_record *record)
{
    struct stage *stage = arg;
    struct client *client = &stage->sockets[record->origin.serial].client;
    if (stage->on_origin != NULL)
        stage->on_origin(stage, (unsigned)record->origin.serial, record);
    else if (record->origin_mode == ORIGIN_NOT && client->magic == CLIENT_MAGIC &&
             audience_got_record(&stage->audiences, client))
        outbox_skip(&stage->outbox, client, record->frame_len);
}

static void on_published(void *arg, uint64_t publish_seq)
{
    struct stage *stage = arg;
    if (publish_seq > stage->published)
        stage->published = publish_seq;
}

static void on_lost(void *arg, uint64_t since, enum ring_status_e why)
{
    struct stage *stage = arg;
    stage->losses += why != RING_MORE;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &stage->sockets[i].client;
        if (client->magic != CLIENT_MAGIC || client->audience == NULL)
            continue;
        if (why != RING_MORE && client->audience->lossless && !client->audience->passing)
            tell_gap(stage, client);
        if (why != RING_MORE || client->audience->states)
            outbox_conflate(&stage->outbox, client, since, why == RING_GONE);
    }
}

/* --- publishing ------------------------------------------------------------------------------------------------------ */

uint32_t make_frame(unsigned char *memory, const char *text, size_t text_len, size_t pad)
{
    unsigned char *payload = memory + WS_HEADER_MAX;
    memcpy(payload, text, text_len);
    memset(payload + text_len, ' ', pad);
    unsigned char *frame = ws_frame_prepend(payload, text_len + pad, WS_TEXT);
    uint32_t len = (uint32_t)(text_len + pad + ws_frame_header_len(text_len + pad));
    memmove(memory, frame, len);
    return len;
}

static void append(struct stage *stage, enum record_kind_e kind, enum topic_kind_e topic, unsigned slot,
                   struct ring_entry *entry)
{
    struct topic topics[2];
    topic_make(&topics[0], topic, stage->machines[slot].info.id);
    topic_make(&topics[1], topic, NULL);
    entry->kind = kind;
    entry->dialect = DIALECT_CAROUSEL;
    entry->topics = topics;
    entry->topic_count = 2;
    assert_int_equal(ring_writer_append(stage->ring, entry), ERR_OK);
    ring_writer_publish(stage->ring);
}

void publish_state(struct stage *stage, unsigned slot, unsigned reading, size_t pad)
{
    struct lvt_machine *m = &stage->machines[slot];
    unsigned char frame[64 * 1024];
    char text[64];
    m->state = (struct machine_state){CONNECTION_CONNECTED, true, 218, 1, reading};
    m->text_len = (uint32_t)snprintf(m->text, sizeof m->text, "S%u=%u;", slot, reading);
    m->record_position = ring_writer_next(stage->ring);
    int n = snprintf(text, sizeof text, "%s#%llu;", m->text,
                     (unsigned long long)(m->record_position / RECORD_ALIGN));
    uint32_t len = make_frame(frame, text, (size_t)n, pad);
    struct record_state meta = {.slot = slot,
                                .text_offset = (uint32_t)ws_frame_header_len((size_t)n + pad),
                                .text_len = m->text_len,
                                .connection = CONNECTION_CONNECTED,
                                .has_reading = 1,
                                .raw_status = 218,
                                .position = 1,
                                .read_wall_ms = reading};
    struct ring_entry entry = {.meta = &meta, .meta_len = sizeof meta, .frame = frame, .frame_len = len};
    append(stage, RECORD_STATE, TOPIC_STATE, slot, &entry);
    lvt_writer_put(stage->lvt, slot, m);
}

unsigned publish_number(struct stage *stage, enum record_kind_e kind, unsigned slot, size_t pad,
                        unsigned origin)
{
    unsigned char frame[64 * 1024];
    char text[64];
    int n = snprintf(text, sizeof text, "%c%u=%u;#%llu;", kind == RECORD_RESULT ? 'R' : 'E', slot,
                     ++stage->numbers, (unsigned long long)(ring_writer_next(stage->ring) / RECORD_ALIGN));
    struct record_outcome meta = {.slot = slot, .agent_gen = 1, .outcome_seq = stage->numbers};
    struct ring_entry entry = {.frame = frame, .frame_len = make_frame(frame, text, (size_t)n, pad)};
    if (kind == RECORD_RESULT) {
        entry.meta = &meta;
        entry.meta_len = sizeof meta;
    }
    if (origin != NO_ORIGIN) {
        entry.origin_mode = ORIGIN_ALSO;
        entry.origin = (struct session_id){WORKER, origin};
    }
    append(stage, kind, kind == RECORD_RESULT ? TOPIC_RESULT : TOPIC_EVENT, slot, &entry);
    return stage->numbers;
}

static void stream_topic(const struct stage *stage, struct topic *topic, unsigned stream)
{
    char id[16];
    size_t len = (size_t)snprintf(id, sizeof id, "s%u", stream);
    if (stage->of_endpoints)
        topic_make_endpoint(topic, "/chat", id, len);
    else
        topic_make_stream(topic, id, len);
}

unsigned publish_message(struct stage *stage, unsigned sender, bool echo, const unsigned *streams,
                         unsigned count, size_t pad)
{
    static unsigned char frame[256 * 1024];
    struct topic topics[RECORD_TOPICS_MAX];
    char text[64];
    int n = snprintf(text, sizeof text, "M%u=%u;", sender, ++stage->messages);
    uint32_t len = make_frame(frame, text, (size_t)n, pad);
    struct record_stream meta = {.publish_seq = stage->messages,
                                 .parts = (count + RECORD_TOPICS_MAX - 1) / RECORD_TOPICS_MAX};
    for (; meta.part < meta.parts; meta.part++) {
        struct ring_entry entry = {.kind = RECORD_STREAM,
                                   .dialect = stage->of_endpoints ? DIALECT_ENDPOINTS : DIALECT_STREAMS,
                                   .origin_mode = echo ? ORIGIN_NONE : ORIGIN_NOT,
                                   .origin = {sender == NO_SENDER ? WORKER + 1 : WORKER, sender},
                                   .topics = topics,
                                   .meta = &meta,
                                   .meta_len = sizeof meta,
                                   .frame = frame,
                                   .frame_len = meta.part == 0 ? len : 0};
        for (; entry.topic_count < RECORD_TOPICS_MAX && count > 0; count--)
            stream_topic(stage, &topics[entry.topic_count++], *streams++);
        assert_int_equal(ring_writer_append(stage->ring, &entry), ERR_OK);
    }
    ring_writer_publish(stage->ring);
    return stage->messages;
}

/* --- setting up ------------------------------------------------------------------------------------------------------- */

static const struct outbox_sink sink = {sink_writev, sink_can_write, sink_close};
static const struct outbox_dialect dialect = {write_states, tell_gap};
static const struct tail_events events = {on_origin, on_lost, on_published};

static void wire_up(struct stage *stage)
{
    clock_manual_init(&stage->clock, NS_PER_S, 0);
    mirror_init(&stage->mirror);
    history_init(&stage->history);
    audiences_init(&stage->audiences, AUDIENCE_HARD_BYTES);
    stage->outbox = (struct outbox){.audiences = &stage->audiences,
                                    .mirror = &stage->mirror,
                                    .history = &stage->history,
                                    .sink = &sink,
                                    .dialect = &dialect,
                                    .limits = OUTBOX_LIMITS_DEFAULT,
                                    .arg = stage,
                                    .clock = &stage->clock.clock};
    stage->tail = (struct tail){.mirror = &stage->mirror,
                                .history = &stage->history,
                                .audiences = &stage->audiences,
                                .outbox = &stage->outbox,
                                .incarnation = WORKER,
                                .events = &events,
                                .arg = stage,
                                .ring_path = stage->ring_path,
                                .lvt_path = stage->lvt_path};
}

int stage_open(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    bool continued;
    char dir[32] = "/dev/shm/fanout-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    snprintf(stage->ring_path, sizeof stage->ring_path, "%s/ring", dir);
    snprintf(stage->lvt_path, sizeof stage->lvt_path, "%s/lvt", dir);
    assert_int_equal(ring_writer_open(stage->ring_path, 1 << 20, &stage->ring, &continued), ERR_OK);
    uint32_t id = ring_writer_id(stage->ring);
    assert_int_equal(lvt_writer_open(stage->lvt_path, 64, id, &stage->lvt, &continued), ERR_OK);
    wire_up(stage);
    for (unsigned i = 0; i < MACHINES; i++) {
        snprintf(stage->machines[i].info.id, sizeof stage->machines[i].info.id, "m%u", i);
        publish_state(stage, i, 1, 0);
    }
    assert_int_equal(tail_attach(&stage->tail, id), ERR_OK);
    *state = stage;
    return 0;
}

int stage_open_endpoints(void **state)
{
    int failed = stage_open(state);
    struct stage *stage = *state;
    stage->of_endpoints = true;
    return failed;
}

int stage_close(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < CLIENTS; i++)
        leave(stage, &stage->sockets[i]);
    assert_int_equal(stage->outbox.counts.own_bytes, 0);
    tail_close(&stage->tail);
    history_fini(&stage->history);
    audiences_fini(&stage->audiences);
    assert_int_equal(stage->audiences.budget.used_bytes, 0);
    assert_int_equal(stage->audiences.main_budget.used_bytes, 0);
    mirror_fini(&stage->mirror);
    ring_writer_close(&stage->ring);
    lvt_writer_close(&stage->lvt);
    unlink(stage->ring_path);
    unlink(stage->lvt_path);
    *strrchr(stage->ring_path, '/') = '\0';
    rmdir(stage->ring_path);
    free(stage);
    return 0;
}

/* --- clients ------------------------------------------------------------------------------------------------------------ */

struct socket *arrive(struct stage *stage, unsigned i, size_t room)
{
    struct socket *s = &stage->sockets[i];
    memset(s, 0, sizeof *s);
    s->client.magic = CLIENT_MAGIC;
    s->client.sink = s;
    s->room = room;
    s->heard = malloc(HEARD_MAX);
    return s;
}

void leave(struct stage *stage, struct socket *s)
{
    if (s->client.magic != CLIENT_MAGIC)
        return;
    outbox_drop(&stage->outbox, &s->client);
    assert_int_equal(s->client.own_bytes, 0);
    free(s->heard);
    memset(s, 0, sizeof *s);
}

enum err_e add_topic(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine)
{
    static struct topic set[2 * AUDIENCE_TOPICS_MAX];
    struct topic topic;
    topic_make(&topic, kind, machine);
    uint32_t count = audience_union(&s->client, &topic, 1, set);
    return outbox_move(&stage->outbox, &s->client, set, count);
}

enum err_e drop_topic(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine)
{
    static struct topic set[AUDIENCE_TOPICS_MAX];
    struct topic topic;
    topic_make(&topic, kind, machine);
    uint32_t count = audience_without(&s->client, &topic, 1, set);
    return outbox_move(&stage->outbox, &s->client, set, count);
}

enum err_e open_stream(struct stage *stage, struct socket *s, unsigned stream)
{
    static struct topic set[2 * AUDIENCE_TOPICS_MAX];
    struct topic topic;
    stream_topic(stage, &topic, stream);
    uint32_t count = audience_union(&s->client, &topic, 1, set);
    return outbox_move(&stage->outbox, &s->client, set, count);
}

enum err_e close_streams(struct stage *stage, struct socket *s)
{
    return outbox_move(&stage->outbox, &s->client, NULL, 0);
}

struct socket *with_streams(struct stage *stage, unsigned i, unsigned first, unsigned count)
{
    struct socket *s = arrive(stage, i, PLENTY);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(open_stream(stage, s, first + n), ERR_OK);
    return s;
}

unsigned say(struct stage *stage, unsigned sender, unsigned first, unsigned count, size_t pad)
{
    unsigned streams[1000];
    for (unsigned i = 0; i < count; i++)
        streams[i] = first + i;
    return publish_message(stage, sender, false, streams, count, pad);
}

void send_snapshot(struct stage *stage, struct socket *s, uint64_t since, uint64_t position)
{
    const struct mirror_machine *machines[MACHINES];
    uint32_t shown = 0;
    for (uint32_t i = 0; i < MACHINES; i++) {
        const struct mirror_machine *machine = mirror_slot(&stage->mirror, i);
        bool wanted =
            s->client.audience->all_states || audience_has_topic(s->client.audience, machine->state_topic);
        if (wanted && machine->position >= since)
            machines[shown++] = machine;
    }
    unsigned char frame[OUTBOX_PORTION_MAX];
    size_t len = write_states(NULL, &s->client, machines, shown, position, frame, sizeof frame);
    outbox_own_frame(&stage->outbox, &s->client, frame, len);
}

void subscribe(struct stage *stage, struct socket *s, enum topic_kind_e kind, const char *machine)
{
    if (add_topic(stage, s, kind, machine) == ERR_OK && kind == TOPIC_STATE)
        send_snapshot(stage, s, 0, outbox_may_seq(&s->client) ? stage->outbox.position : 0);
}

void reply(struct stage *stage, struct socket *s, const char *text)
{
    unsigned char frame[128];
    outbox_own_frame(&stage->outbox, &s->client, frame, make_frame(frame, text, strlen(text), 0));
}

void end_read(struct stage *stage)
{
    if (stage->outbox.reading != NULL)
        outbox_settle(&stage->outbox, stage->outbox.reading);
}

void pump(struct stage *stage)
{
    bool more = true;
    while (more) { /* as the worker's pump */
        more = audiences_pressed(&stage->audiences) || tail_drain(&stage->tail, 1000);
        more |= outbox_slice(&stage->outbox, NS_PER_S);
    }
    end_read(stage);
}

void give_room(struct stage *stage, struct socket *s, size_t room)
{
    s->room += room;
    s->remainder = false;
    if (s->client.choked && !s->closed)
        outbox_writable(&stage->outbox, &s->client);
}

/* --- what was heard --------------------------------------------------------------------------------------------------- */

static void hear_items(const char *at, const char *end, heard_f *item, void *arg)
{
    while (at < end && *at != ' ') {
        char kind = *at++;
        unsigned slot = 0;
        uint64_t value = 0;
        assert_non_null(strchr("SREMPG#", kind));
        if (strchr("SREM", kind) != NULL)
            for (; *at != '='; at++)
                slot = slot * 10 + (unsigned)(*at - '0');
        for (; *at != ';'; at++)
            if (*at != '=')
                value = value * 10 + (unsigned)(*at - '0');
        at++;
        item(arg, kind, slot, value);
    }
}

void listen_on(const struct socket *s, size_t *at, heard_f *item, void *arg)
{
    while (*at < s->heard_len) {
        const unsigned char *frame = s->heard + *at;
        size_t total = ws_frame_total_len(frame, s->heard_len - *at);
        size_t header = total - 2 < 126 ? 2 : total - 4 <= 0xffff ? 4 : 10;
        hear_items((const char *)frame + header, (const char *)frame + total, item, arg);
        *at += total;
    }
}

static void note_item(void *arg, char kind, unsigned slot, uint64_t value)
{
    struct heard *heard = arg;
    size_t len = strlen(heard->order);
    if (kind != '#' && len + 1 < sizeof heard->order)
        heard->order[len] = kind;
    if (kind == '#') {
        heard->backwards |= value < heard->seq;
        heard->seq = value;
    } else if (kind == 'S') {
        heard->backwards |= value < heard->state[slot];
        heard->state[slot] = (unsigned)value;
    } else if (kind == 'R' || kind == 'E') {
        heard->backwards |= value <= heard->number;
        heard->number = (unsigned)value;
        heard->numbers++;
    }
    if (kind == 'M') {
        heard->backwards |= value <= heard->message;
        heard->message = (unsigned)value;
        heard->messages++;
    }
    heard->gaps += kind == 'G';
}

struct heard listen_to(const struct socket *s)
{
    struct heard heard = {0};
    size_t at = 0;
    listen_on(s, &at, note_item, &heard);
    for (size_t i = 0; i < s->heard_len; heard.frames++)
        i += ws_frame_total_len(s->heard + i, s->heard_len - i);
    return heard;
}
