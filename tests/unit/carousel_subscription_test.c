/* carousel_subscription, over an endpoint that the test plays: what is called in which order, and the ways to fail that no
 * play reaches (memory, limits). The endpoint writes down each call as a word; replies by their type. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "carousel.h"
#include "conf.h"
#include "mirror.h"
#include "must.h"

#define MACHINES   3
#define TOPICS_MAX 16

static struct mirror_machine machines[MACHINES];
static struct topic subscribed[TOPICS_MAX];
static uint32_t subscribed_count;
static char story[2048], last_reply[4096];
static char *scratch;
static struct conf conf;

static struct {
    enum err_e subscribe, unsubscribe, replay;
    struct endpoint_missed missed;
    bool known, may_seq;
    uint32_t replayed;
} will;

static struct endpoint_conn *const conn = (struct endpoint_conn *)&will; /* never looked into */

static const struct identity *identity; /* NULL: nobody's, who may see everything */

static const struct identity *who(void)
{
    return identity != NULL ? identity : identity_nobody();
}

static void note(const char *word)
{
    snprintf(story + strlen(story), sizeof story - strlen(story), "%s%s", story[0] ? " " : "", word);
}

/* --- the endpoint --------------------------------------------------------------------------------------------------- */

struct endpoint *endpoint_of(struct endpoint_conn *c)
{
    return (struct endpoint *)c;
}

const struct identity *endpoint_identity(const struct endpoint_conn *c)
{
    (void)c;
    return who();
}

bool endpoint_may(const struct endpoint_conn *c, enum grant_e grant, const char *name, size_t len)
{
    (void)c;
    return identity_may(who(), grant, name, len);
}

bool endpoint_may_all(const struct endpoint_conn *c, enum grant_e grant)
{
    (void)c;
    return identity_may_all(who(), grant);
}

void endpoint_reply(struct endpoint_conn *c, const char *payload, size_t len)
{
    char type[64] = "";
    (void)c;
    snprintf(last_reply, sizeof last_reply, "%.*s", (int)len, payload);
    sscanf(last_reply, "{\"type\":\"%63[^\"]", type);
    note(type);
}

static int find(const struct topic *topic)
{
    for (uint32_t i = 0; i < subscribed_count; i++)
        if (subscribed[i].hash == topic->hash)
            return (int)i;
    return -1;
}

enum err_e endpoint_subscribe(struct endpoint_conn *c, const struct topic *topics, uint32_t count)
{
    (void)c;
    note("subscribe");
    for (uint32_t i = 0; will.subscribe == ERR_OK && i < count; i++)
        if (find(&topics[i]) < 0)
            subscribed[subscribed_count++] = topics[i];
    return will.subscribe;
}

enum err_e endpoint_unsubscribe(struct endpoint_conn *c, const struct topic *topics, uint32_t count)
{
    (void)c;
    note("unsubscribe");
    for (uint32_t i = 0; will.unsubscribe == ERR_OK && i < count; i++) {
        int at = find(&topics[i]);
        if (at >= 0)
            subscribed[at] = subscribed[--subscribed_count];
    }
    return will.unsubscribe;
}

uint32_t endpoint_topics(struct endpoint_conn *c, const struct topic **topics)
{
    (void)c;
    *topics = subscribed;
    return subscribed_count;
}

bool endpoint_is_subscribed(const struct endpoint_conn *c, const struct topic *topic)
{
    (void)c;
    return find(topic) >= 0;
}

bool endpoint_parse_seq(const struct endpoint *e, const char *text, size_t len, struct endpoint_since *since)
{
    (void)e;
    *since = (struct endpoint_since){.known = will.known, .position = strtoull(text, NULL, 10)};
    return len > 0 && text[0] >= '0' && text[0] <= '9';
}

struct endpoint_missed endpoint_missed(struct endpoint *e, const struct topic *topics, uint32_t count,
                                       struct endpoint_since since)
{
    (void)e, (void)topics, (void)count, (void)since;
    note("missed");
    return will.missed;
}

enum err_e endpoint_replay(struct endpoint_conn *c, const struct topic *topics, uint32_t count,
                           struct endpoint_missed missed)
{
    (void)c, (void)topics, (void)missed;
    note("replay");
    will.replayed = count;
    return will.replay;
}

bool endpoint_may_seq(const struct endpoint_conn *c)
{
    (void)c;
    return will.may_seq;
}

void endpoint_close(struct endpoint_conn *c, unsigned code, const char *reason)
{
    (void)c, (void)code, (void)reason;
    note("close");
}

enum err_e endpoint_send_command(struct endpoint_conn *c, const struct endpoint_command *command)
{
    (void)c, (void)command;
    return ERR_FULL;
}

uint64_t endpoint_wall_ms(const struct endpoint *e)
{
    (void)e;
    return 0;
}

uint64_t endpoint_position(const struct endpoint *e)
{
    (void)e;
    return 1000;
}

void endpoint_seq(const struct endpoint *e, uint64_t position, char seq[ENDPOINT_SEQ_MAX])
{
    (void)e;
    snprintf(seq, ENDPOINT_SEQ_MAX, "at-%llu", (unsigned long long)position);
}

uint32_t endpoint_machine_slots(const struct endpoint *e)
{
    (void)e;
    return MACHINES;
}

uint32_t endpoint_machine_count(const struct endpoint *e)
{
    return endpoint_machine_slots(e);
}

const struct mirror_machine *endpoint_machine(const struct endpoint *e, uint32_t slot)
{
    (void)e;
    return machines[slot].present ? &machines[slot] : NULL;
}

const struct mirror_machine *endpoint_find_machine(const struct endpoint *e, const char *id, size_t len)
{
    (void)e;
    for (uint32_t slot = 0; slot < MACHINES; slot++)
        if (machines[slot].present && strlen(machines[slot].info.id) == len &&
            memcmp(machines[slot].info.id, id, len) == 0)
            return &machines[slot];
    return NULL;
}

const struct conf *endpoint_conf(const struct endpoint *e)
{
    (void)e;
    return &conf;
}

char *endpoint_scratch(struct endpoint *e)
{
    (void)e;
    return scratch;
}

/* --- the tests ------------------------------------------------------------------------------------------------------ */

static int setup(void **state)
{
    (void)state;
    memset(&will, 0, sizeof will);
    will.known = will.may_seq = true;
    will.missed.first = 1000;
    subscribed_count = 0;
    for (uint32_t slot = 0; slot < MACHINES; slot++) {
        machines[slot] = (struct mirror_machine){.present = true, .slot = slot, .position = 100 * (slot + 1)};
        snprintf(machines[slot].info.id, sizeof machines[slot].info.id, "m%u", slot + 1);
        machines[slot].text_len =
            (uint32_t)snprintf(machines[slot].text, sizeof machines[slot].text, "\"position\":%u", slot);
    }
    scratch = malloc(ENDPOINT_SCRATCH);
    return scratch == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(scratch);
    return 0;
}

static void say(const char *text)
{
    story[0] = last_reply[0] = '\0';
    carousel_dialect.on_receive(conn, text, strlen(text), false);
}

static bool has(const char *name)
{
    struct topic topic = {.hash = topic_hash(name, strlen(name))};
    return find(&topic) >= 0;
}

#define heard(part) assert_non_null(strstr(last_reply, part))

static void plain(void **state)
{
    (void)state;
    say("{\"type\":\"subscribe\",\"machine_ids\":[\"m2\",\"m1\",\"m2\"]}");
    assert_string_equal(story, "subscribe subscription_confirmed status_broadcast");
    heard("\"status\":{\"m2\":{\"position\":1},\"m1\":{\"position\":0}},\"seq\":\"at-1000\"}");
    assert_int_equal(subscribed_count, 2);
    will.may_seq = false;
    say("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\"}");
    heard("\"m3\":{\"position\":2}}}"); /* owed older frames: no promise */
    assert_true(has("state/#") && has("result/#") && has("event/#"));
    say("{\"type\":\"subscribe\",\"subscription_type\":\"command_results\"}");
    assert_string_equal(story, "subscribe subscription_confirmed");
}

/* Names of machines: m9 comes later, "#" is none. */
static const struct identity *sees_some(void)
{
    static const char *const view[] = {"m1", "m9", "#"}, *const command[] = {"m2"};
    struct identity_draft draft = {.name = "ana", .expires_ms = IDENTITY_NEVER};
    draft.names[GRANT_MACHINES_VIEW] = view;
    draft.counts[GRANT_MACHINES_VIEW] = ARRAY_LEN(view);
    draft.names[GRANT_MACHINES_COMMAND] = command;
    draft.counts[GRANT_MACHINES_COMMAND] = ARRAY_LEN(command);
    return identity_new(&draft);
}

static void all_that_may_be_seen(void **state)
{
    (void)state;
    identity = sees_some();
    say("{\"type\":\"subscribe\",\"subscription_type\":\"command_results\",\"machine_ids\":[\"m1\"]}");
    say("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\",\"since\":\"50\"}");
    assert_string_equal(story, "subscribe subscription_confirmed missed status_broadcast replay");
    heard("\"status\":{\"m1\":{\"position\":0},\"m2\":{\"position\":1}}");
    assert_int_equal(subscribed_count, 9); /* three kinds of m1, m2, m9 */
    assert_false(has("state/#") || has("result/#") || has("event/#"));
    assert_true(has("state/m9") && has("event/m2") && has("result/m1"));
    assert_int_equal(will.replayed, 5); /* of results and events; of m1's results, every frame came already */
    say("{\"type\":\"subscribe\",\"machine_ids\":[\"m1\",\"m3\"]}");
    heard("\"code\":\"MACHINE_NOT_FOUND\",\"machine_id\":\"m3\"");
    say("{\"type\":\"unsubscribe\",\"machine_ids\":[\"m1\"]}");
    assert_false(has("state/m1") || has("state/m3"));
    say("{\"type\":\"unsubscribe\",\"subscription_type\":\"all_events\"}");
    assert_int_equal(subscribed_count, 0); /* also m9, which there is not yet */
    identity_put(&identity);
}

static void resuming(void **state)
{
    (void)state;
    will.missed = (struct endpoint_missed){false, 320};
    say("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\",\"since\":\"200\"}");
    assert_string_equal(story, "subscribe subscription_confirmed missed status_broadcast replay");
    heard("\"status\":{\"m2\":{\"position\":1},\"m3\":{\"position\":2}},\"seq\":\"at-320\"}"); /* m1: 100 */
    assert_int_equal(will.replayed, 2); /* result/#, event/# */
    /* again: everything was or will be sent already */
    say("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\",\"since\":\"400\"}");
    assert_string_equal(story, "subscribe subscription_confirmed status_broadcast");
    heard("\"status\":{},\"seq\":\"at-1000\"}");
}

static void resuming_what_is_new_only(void **state)
{
    (void)state;
    say("{\"type\":\"subscribe\",\"subscription_type\":\"command_results\",\"machine_ids\":[\"m1\"]}");
    say("{\"type\":\"subscribe\",\"subscription_type\":\"command_results\",\"since\":\"200\"}");
    assert_string_equal(story, "subscribe subscription_confirmed missed replay");
    assert_int_equal(will.replayed, 2); /* result/m2, result/m3: not m1's again */
}

static void gaps(void **state)
{
    (void)state;
    will.known = false;
    will.missed.gap = true;
    say("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\",\"since\":\"200\"}");
    assert_string_equal(story, "subscribe subscription_confirmed missed gap status_broadcast replay");
    teardown(state);
    setup(state);
    will.replay = ERR_MEMORY;
    say("{\"type\":\"subscribe\",\"subscription_type\":\"command_results\",\"since\":\"200\"}");
    assert_string_equal(story, "subscribe subscription_confirmed missed replay gap");
}

static void refusals_change_nothing(void **state)
{
    (void)state;
    say("{\"type\":\"subscribe\",\"machine_ids\":[\"m1\",\"m9\"]}");
    assert_string_equal(story, "error");
    heard("\"code\":\"MACHINE_NOT_FOUND\",\"machine_id\":\"m9\"");
    say("{\"type\":\"subscribe\",\"since\":\"x\"}");
    assert_string_equal(story, "error");
    heard("since: expected");
    will.subscribe = ERR_TOO_LARGE;
    say("{\"type\":\"subscribe\"}");
    assert_string_equal(story, "subscribe error");
    heard("\"code\":\"RATE_LIMITED\"");
    will.subscribe = ERR_MEMORY;
    say("{\"type\":\"subscribe\",\"since\":\"1\"}");
    assert_string_equal(story, "subscribe error");
    heard("\"code\":\"INTERNAL_ERROR\"");
    will.subscribe = ERR_CLOSED;
    say("{\"type\":\"subscribe\"}");
    assert_string_equal(story, "subscribe");
    assert_int_equal(subscribed_count, 0);
}

static void unsubscribing(void **state)
{
    (void)state;
    say("{\"type\":\"subscribe\",\"subscription_type\":\"all_events\"}");
    say("{\"type\":\"unsubscribe\",\"machine_ids\":[\"m2\"]}");
    assert_string_equal(story, "subscribe unsubscribe unsubscription_confirmed");
    assert_true(has("state/m1") && has("state/m3") && !has("state/#") && !has("state/m2"));
    assert_true(has("result/#") && has("event/#"));
    machines[2].present = false; /* gone, and forgotten all the same */
    say("{\"type\":\"unsubscribe\"}");
    assert_string_equal(story, "unsubscribe unsubscription_confirmed");
    heard("\"machine_ids\":[\"m1\",\"m2\"]");
    assert_int_equal(subscribed_count, 2);
    say("{\"type\":\"unsubscribe\",\"machine_ids\":[]}");
    assert_string_equal(story, "unsubscription_confirmed");
    say("{\"type\":\"unsubscribe\",\"subscription_type\":\"all_events\"}");
    assert_int_equal(subscribed_count, 0);
    say("{\"type\":\"unsubscribe\",\"subscription_type\":\"all_events\"}");
    assert_string_equal(story, "unsubscription_confirmed");
}

static void unsubscribing_may_fail(void **state)
{
    (void)state;
    say("{\"type\":\"subscribe\"}");
    will.subscribe = ERR_TOO_LARGE;
    say("{\"type\":\"unsubscribe\",\"machine_ids\":[\"m2\"]}");
    assert_string_equal(story, "subscribe error");
    heard("\"code\":\"RATE_LIMITED\"");
    assert_true(has("state/#"));
    will.subscribe = ERR_OK;
    will.unsubscribe = ERR_MEMORY;
    say("{\"type\":\"unsubscribe\"}");
    assert_string_equal(story, "unsubscribe error");
    heard("\"code\":\"INTERNAL_ERROR\"");
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    machines[1].text_len = ENDPOINT_SCRATCH; /* its text is never read: the sum says enough */
    say("{\"type\":\"subscribe\"}");
    assert_string_equal(story, "error");
    heard("machine_ids: too many machines for one message; name fewer");
    say("{\"type\":\"subscribe\",\"machine_ids\":[\"m1\",\"m3\"]}");
    assert_string_equal(story, "subscribe subscription_confirmed status_broadcast");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        test(all_that_may_be_seen),
        test(plain),
        test(resuming),
        test(resuming_what_is_new_only),
        test(gaps),
        test(refusals_change_nothing),
        test(unsubscribing),
        test(unsubscribing_may_fail),
        test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("carousel_subscription", tests, NULL, NULL);
}
