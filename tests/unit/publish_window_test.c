/* publish_window: what waits for the ring, against a queue that is nothing but an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "publish_window.h"

static enum err_e add(struct publish_window *w, uint32_t topics_len, uint32_t payload_len)
{
    struct publish_entry *entry;
    enum err_e err = publish_window_add(w, topics_len, payload_len, &entry);
    if (err != ERR_OK)
        return err;
    assert_int_equal((uintptr_t)entry % 8, 0);
    assert_int_equal(entry->sent_ns, 0);
    memset(entry->bytes, (int)(entry->seq & 0xff), topics_len);
    memset(publish_entry_payload(entry), (int)(entry->seq >> 3 & 0xff), payload_len);
    return ERR_OK;
}

/* Everything that is unsent, up to `most`; returns the last number. */
static uint64_t send_some(struct publish_window *w, unsigned most, uint64_t now_ns)
{
    uint64_t last = 0;
    for (struct publish_entry *e; most-- > 0 && (e = publish_window_unsent(w)) != NULL;) {
        last = e->seq;
        publish_window_sent(w, now_ns);
    }
    return last;
}

static void one_message_comes_and_goes(void **state)
{
    (void)state;
    struct publish_window w = {0};
    assert_null(publish_window_unsent(&w));
    assert_null(publish_window_oldest(&w));
    assert_int_equal(publish_window_rewind(&w), 0);
    assert_int_equal(add(&w, 3, 5), ERR_OK);
    struct publish_entry *e = publish_window_unsent(&w);
    assert_int_equal(e->seq, 1);
    assert_ptr_equal(e, publish_window_oldest(&w));
    assert_int_equal(e->topics_len + e->payload_len, 8);
    assert_true(w.bytes >= sizeof *e + 8);
    publish_window_sent(&w, 7);
    assert_int_equal(e->sent_ns, 7);
    assert_null(publish_window_unsent(&w));
    assert_int_equal(publish_window_acknowledged(&w, 2), 0); /* was never given out */
    assert_int_equal(publish_window_acknowledged(&w, 1), 1);
    assert_int_equal(publish_window_acknowledged(&w, 1), 0);
    assert_int_equal(w.bytes, 0);
    assert_int_equal(w.block_bytes, 0);
    assert_null(publish_window_oldest(&w));
    assert_int_equal(add(&w, 0, 0), ERR_OK);
    assert_int_equal(publish_window_unsent(&w)->seq, 2);
    publish_window_fini(&w);
    assert_int_equal(publish_window_count(&w), 0);
}

static void nothing_is_held_until_something_is_published(void **state)
{
    (void)state;
    struct publish_window w = {0};
    assert_null(w.spare);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(add(&w, 20, 150), ERR_OK);
    assert_true(w.block_bytes > 10 * PUBLISH_BLOCK);
    assert_int_equal(publish_window_acknowledged(&w, 5000), 5000);
    assert_int_equal(w.block_bytes, 0);
    assert_non_null(w.spare); /* one, for the next message */
    publish_window_fini(&w);
}

static void a_new_broker_gets_everything_again_in_order(void **state)
{
    (void)state;
    struct publish_window w = {0};
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(add(&w, 20, 100), ERR_OK);
    assert_int_equal(send_some(&w, 2500, 1), 2500);
    assert_int_equal(publish_window_acknowledged(&w, 700), 700);
    assert_int_equal(publish_window_rewind(&w), 1800);
    for (uint64_t n = 701; n <= 4000; n++) {
        assert_int_equal(publish_window_unsent(&w)->seq, n);
        publish_window_sent(&w, 2);
    }
    assert_null(publish_window_unsent(&w));
    publish_window_fini(&w);
}

/* The dead broker had published what the next one has not been sent yet: the ring says so first. */
static void what_the_ring_shows_is_not_sent_again(void **state)
{
    (void)state;
    struct publish_window w = {0};
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(add(&w, 20, 30000), ERR_OK);
    send_some(&w, 10, 1);
    assert_int_equal(publish_window_rewind(&w), 10);
    assert_int_equal(publish_window_acknowledged(&w, 6), 6);
    assert_int_equal(publish_window_unsent(&w)->seq, 7);
    assert_int_equal(publish_window_acknowledged(&w, 10), 4);
    assert_null(publish_window_unsent(&w));
    assert_int_equal(add(&w, 20, 10), ERR_OK);
    assert_int_equal(publish_window_unsent(&w)->seq, 11);
    publish_window_fini(&w);
}

static void what_was_sent_long_ago_is_given_up(void **state)
{
    (void)state;
    struct publish_window w = {0};
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(add(&w, 20, 30000), ERR_OK);
    send_some(&w, 2, 100);
    send_some(&w, 2, 200);
    assert_int_equal(publish_window_give_up(&w, 99), 0);
    assert_int_equal(publish_window_give_up(&w, 100), 2);
    assert_int_equal(publish_window_oldest(&w)->seq, 3);
    assert_int_equal(publish_window_give_up(&w, 1000), 2); /* the rest was never sent: it may wait */
    assert_int_equal(publish_window_unsent(&w)->seq, 5);
    assert_int_equal(publish_window_acknowledged(&w, 4), 0); /* late, and harmless */
    publish_window_rewind(&w);
    assert_int_equal(publish_window_give_up(&w, 1000), 0);
    publish_window_fini(&w);
}

static void memory_is_bounded_whatever_the_sizes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 150, 4000, 30000, 65536, 196608};
    for (unsigned s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct publish_window w = {0};
        enum err_e err;
        while ((err = add(&w, 100, sizes[s])) == ERR_OK)
            assert_true(w.block_bytes <= PUBLISH_HARD_BYTES && w.bytes <= w.block_bytes);
        assert_int_equal(err, ERR_FULL);
        assert_true(w.bytes > PUBLISH_HARD_BYTES * 4 / 10); /* at worst two do not fit a block by a byte */
        uint64_t count = publish_window_count(&w);
        assert_int_equal(add(&w, 100, sizes[s]), ERR_FULL); /* and nothing has changed */
        assert_int_equal(publish_window_count(&w), count);
        publish_window_acknowledged(&w, w.last_seq / 2);
        assert_int_equal(add(&w, 100, sizes[s]), ERR_OK);
        publish_window_fini(&w);
    }
}

/* --- against a model ----------------------------------------------------------------------------------------------- */

#define MODEL_MAX 60000u

struct model {
    uint32_t topics_len[MODEL_MAX], payload_len[MODEL_MAX]; /* by number */
    uint64_t gone, sent, last;
};

static void check_entry(const struct model *m, struct publish_entry *e, uint64_t seq)
{
    assert_int_equal(e->seq, seq);
    assert_int_equal(e->topics_len, m->topics_len[seq]);
    assert_int_equal(e->payload_len, m->payload_len[seq]);
    for (uint32_t i = 0; i < e->topics_len; i += 7)
        assert_int_equal(e->bytes[i], seq & 0xff);
    for (uint32_t i = 0; i < e->payload_len; i += 101)
        assert_int_equal(publish_entry_payload(e)[i], seq >> 3 & 0xff);
}

static void check_window(struct publish_window *w, const struct model *m)
{
    assert_int_equal(publish_window_count(w), m->last - m->gone);
    if (m->last == m->gone)
        assert_null(publish_window_oldest(w));
    else
        check_entry(m, publish_window_oldest(w), m->gone + 1);
    if (m->sent == m->last)
        assert_null(publish_window_unsent(w));
    else
        check_entry(m, publish_window_unsent(w), m->sent + 1);
}

static void random_add(struct publish_window *w, struct model *m)
{
    uint32_t topics_len = 1 + (uint32_t)rand() % 200, payload_len = (uint32_t)rand() % 400;
    if (rand() % 50 == 0)
        payload_len = (uint32_t)rand() % 196609;
    if (rand() % 500 == 0)
        topics_len = (uint32_t)rand() % 136000;
    if (add(w, topics_len, payload_len) != ERR_OK)
        return;
    m->last++;
    m->topics_len[m->last] = topics_len;
    m->payload_len[m->last] = payload_len;
}

static void random_step(struct publish_window *w, struct model *m, bool filling)
{
    unsigned what = (unsigned)rand() % 100;
    if (what < (filling ? 70u : 30u)) {
        random_add(w, m);
    } else if (what < 85) {
        uint64_t last = send_some(w, (unsigned)rand() % 5, 1);
        m->sent = last != 0 ? last : m->sent;
    } else if (what < 99) {
        uint64_t up_to = m->gone + (uint64_t)rand() % 8;
        uint64_t gone = up_to <= m->last ? up_to - m->gone : 0;
        assert_int_equal(publish_window_acknowledged(w, up_to), gone);
        m->gone += gone;
        m->sent = m->sent < m->gone ? m->gone : m->sent;
    } else if (rand() % 2) {
        assert_int_equal(publish_window_rewind(w), m->sent - m->gone);
        m->sent = m->gone;
    } else if (rand() % 20 == 0) {
        assert_int_equal(publish_window_give_up(w, 1), m->sent - m->gone);
        m->gone = m->sent;
    }
}

static void random_steps_agree_with_a_simple_queue(void **state)
{
    (void)state;
    const char *given = getenv("NORIA_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 20261122;
    struct model *m = malloc(sizeof *m);
    size_t fullest = 0;
    srand(seed);
    print_message("seed %u\n", seed);
    for (unsigned round = 0; round < 4; round++) {
        struct publish_window w = {0};
        memset(m, 0, sizeof *m);
        for (unsigned step = 0; step < 40000 && m->last + 1 < MODEL_MAX; step++) {
            random_step(&w, m, step / 8000 % 2 == 0);
            check_window(&w, m);
            fullest = w.block_bytes > fullest ? w.block_bytes : fullest;
            assert_true(w.block_bytes <= PUBLISH_HARD_BYTES);
        }
        publish_window_acknowledged(&w, m->last);
        assert_int_equal(w.bytes, 0);
        assert_int_equal(w.block_bytes, 0);
        publish_window_fini(&w);
    }
    assert_true(fullest > PUBLISH_HARD_BYTES - 2 * PUBLISH_BLOCK);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_message_comes_and_goes),
        cmocka_unit_test(nothing_is_held_until_something_is_published),
        cmocka_unit_test(a_new_broker_gets_everything_again_in_order),
        cmocka_unit_test(what_the_ring_shows_is_not_sent_again),
        cmocka_unit_test(what_was_sent_long_ago_is_given_up),
        cmocka_unit_test(memory_is_bounded_whatever_the_sizes),
        cmocka_unit_test(random_steps_agree_with_a_simple_queue),
    };
    return cmocka_run_group_tests_name("publish_window", tests, NULL, NULL);
}
