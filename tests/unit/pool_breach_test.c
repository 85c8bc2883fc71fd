/* Processes that break the protocol, speak of what is not theirs, or send what nobody asked for. */
#include "pool_stage.h"

static void wire_message(msgpack_sbuffer *out, const struct handler_message *message)
{
    assert_int_equal(handler_encode(message, out), ERR_OK);
}

static struct handler_message taken(uint64_t event)
{
    return (struct handler_message){.type = HANDLER_TAKEN, .event = event};
}

static void breach_bytes(const void *bytes, size_t len)
{
    struct visitor ana = {0};
    struct actor *bad = &stage->actors[0], *good = &stage->actors[1];
    uint64_t malformed = counts()->malformed;
    actor_greet(bad);
    visitor_open(&ana, 0);
    actor_open(bad, false); /* event 1 */
    actor_greet(good);
    visitor_send(&ana, 1);
    assert_int_equal(actor_message(bad, 1), 2);
    actor_say_bytes(bad, bytes, len);
    visitor_answered(&ana, 1, POOL_FAILED);
    assert_int_equal(counts()->malformed, malformed + 1);
    assert_true(actor_is_left(bad));
    actor_open(good, false); /* it begins anew: the bad one lives, and has run on_disconnect */
    assert_int_equal(counts()->anew, malformed + 1);
    visitor_close(&ana);
    actor_close(good);
    stage_until(counts()->conns == 0);
    uint64_t lost = counts()->links_lost;
    actor_die(bad);
    actor_die(good);
    stage_until(counts()->links_lost == lost + 1);
    for (unsigned k = 0; k < 2; k++) { /* what came back meanwhile is gone, too */
        actor_deaf(&stage->actors[k]);
        stage_pass_slowly(6000);
    }
}

static void breach(struct handler_message message)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    wire_message(&out, &message);
    breach_bytes(out.data, out.size);
    msgpack_sbuffer_destroy(&out);
}

static void events_that_nobody_was_given(void **state)
{
    (void)state;
    breach(taken(0));
    breach(taken(1)); /* again */
    breach(taken(2)); /* a MESSAGE */
    breach(taken(3));
    breach(taken(UINT64_MAX));
    breach((struct handler_message){.type = HANDLER_REPLY, .event = 1, .status = 200});
    breach((struct handler_message){.type = HANDLER_REPLY, .event = 3, .status = 200});
}

/* Numbers of frames that it cannot have read, because they are not written. */
static void events_that_are_still_here(void **state)
{
    (void)state;
    const struct pool_link *link = &stage->pool->links[STAGE_PROCESSES];
    for (unsigned round = 0; round < 2; round++) {
        struct visitor ana = {0}, others[16] = {0};
        unsigned count = 0;
        actor_greet(&stage->out);
        visitor_open(&ana, 2);
        while (!link->full) {
            assert_true(count < ARRAY_LEN(others));
            visitor_send_large(&ana, 1, 60000);
            if (round == 0)
                visitor_open(&others[count], 2);
            count++;
            stage_turn(1);
        }
        struct handler_message guess = {
            .type = round == 0 ? HANDLER_TAKEN : HANDLER_REPLY, .event = link->last_number, .status = 200};
        const struct pool_event *last = LIST_ENTRY(link->unwritten.prev, struct pool_event, of_link);
        assert_int_equal(last->number, guess.event);
        assert_int_equal(last->type, round == 0 ? HANDLER_OPEN : HANDLER_MESSAGE);
        actor_say(&stage->out, &guess);
        stage_until(counts()->malformed == round + 1);
        for (unsigned i = 0; i < count && round == 0; i++)
            visitor_close(&others[i]);
        visitor_close(&ana);
        assert_int_equal(counts()->conns, 0);
        actor_die(&stage->out);
    }
}

static void messages_that_are_none(void **state)
{
    (void)state;
    static const unsigned char empty[] = {0, 0, 0, 0}, large[] = {1, 0x40, 0, 1},
                               garbage[] = {0, 0, 0, 2, 0xc1, 0xc1}, number[] = {0, 0, 0, 1, 7},
                               short_one[] = {0, 0, 0, 2, 0x91, 34},
                               topic[] = {0, 0, 0, 6, 0x93, 37, 1, 0xa2, 0xc3, 0x28};
    breach_bytes(empty, sizeof empty);
    breach_bytes(large, sizeof large);
    breach_bytes(garbage, sizeof garbage);
    breach_bytes(number, sizeof number);
    breach_bytes(short_one, sizeof short_one);
    breach_bytes(topic, sizeof topic);
}

static void messages_out_of_place(void **state)
{
    (void)state;
    breach((struct handler_message){.type = HANDLER_WELCOME, .version = HANDLER_VERSION});
    breach((struct handler_message){.type = HANDLER_OPEN, .event = 9, .conn = 9});
}

static void the_first_word(void **state)
{
    (void)state;
    struct actor *out = &stage->out;
    const struct handler_message words[] = {{.type = HANDLER_WELCOME, .version = HANDLER_VERSION + 1},
                                            {.type = HANDLER_TAKEN, .event = 1},
                                            {.type = HANDLER_PUBLISH, .path = {"/out", 4}}};
    actor_listen(out, stage->out_path);
    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        for (unsigned j = 0; j < 200 && !actor_accept(out); j++) {
            stage_pass(100);
            stage_turn(1);
        }
        actor_wait(out, HANDLER_HELLO);
        actor_say(out, &words[i]);
        stage_until(counts()->malformed == i + 1);
        assert_true(actor_is_left(out));
        actor_die(out);
    }
    assert_int_equal(counts()->connects, 0);
    assert_int_equal(counts()->links_lost, 0);
    actor_greet(out);
}

static void of_connections_that_it_does_not_have(void **state)
{
    (void)state;
    struct visitor ana = {0}, eva = {0};
    actor_greet(&stage->actors[0]);
    actor_greet(&stage->out);
    visitor_open(&ana, 0);
    visitor_open(&eva, 2);
    actor_open(&stage->actors[0], false);
    actor_open(&stage->out, false);
    for (uint64_t conn = 0; conn < 4; conn++) {
        struct actor *stranger = &stage->out;
        if (conn == 2)
            continue;
        actor_say(stranger, &(struct handler_message){.type = HANDLER_SEND, .conn = conn, .status = 200});
        actor_say(stranger, &(struct handler_message){.type = HANDLER_SUBSCRIBE, .conn = conn});
        actor_say(stranger, &(struct handler_message){.type = HANDLER_CLOSE, .conn = conn, .code = 1000});
        actor_say(stranger,
                  &(struct handler_message){
                      .type = HANDLER_PUBLISH, .path = handler_text("/out"), .status = 200, .except = conn});
        stage_until(counts()->publishes == (conn < 2 ? conn + 1 : conn));
        assert_null(stage->published_except);
    }
    assert_int_equal(ana.sends + ana.subscribes + ana.closes, 0);
    assert_int_equal(counts()->sends_lost, 3);
    visitor_close(&ana);
    visitor_close(&eva);
    actor_close(&stage->actors[0]);
    actor_close(&stage->out);
    stage_until(counts()->conns == 0);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void descriptors_that_are_sent_along(void **state)
{
    (void)state;
    struct actor *actor = &stage->actors[0];
    actor_greet(actor);
    int before = open_descriptors(), sent[2] = {0, 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof sent)];
    static unsigned char later[] = {0, 0, 0, 3, 0x91, 0xcc, 200};
    struct iovec piece = {later, sizeof later};
    struct msghdr header = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof sent), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), sent, sizeof sent);
    uint64_t sends = counts()->sends_lost;
    assert_int_equal(sendmsg(actor->fd, &header, MSG_NOSIGNAL), sizeof later);
    actor_say(actor, &(struct handler_message){.type = HANDLER_SEND, .conn = 9, .status = 200});
    stage_until(counts()->sends_lost == sends + 1);
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(events_that_nobody_was_given),
        T(events_that_are_still_here),
        T(messages_that_are_none),
        T(messages_out_of_place),
        T(the_first_word),
        T(of_connections_that_it_does_not_have),
        T(descriptors_that_are_sent_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
