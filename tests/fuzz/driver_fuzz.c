/* Fuzzes the agent's side of the PLC's wire: the real carousel driver, poller and image on a manual clock; the script is the
 * PLC, the network and whoever asks. What a byte of it does stands in the table `acts`; the PLC's
 * ends and the network are driver_world.h.
 *
 * Held against every script, by a spy between poller and driver:
 * - a value is published only if it is the first two bytes that the PLC sent after this very request, on the connection
 *   that the request came over, and no third came with them;
 * - a request reaches the PLC at most once, as it was asked, not at or after its deadline, and never on a connection that owes
 *   a reply or has bytes unread; NOT_SENT and SENT are true;
 * - every exchange ends, once, within its time limits;
 * - no descriptor is lost; and with a PLC that behaves again, everything is well again.
 */
#include <stdlib.h>
#include <string.h>

#include "carousel_driver.h"
#include "driver_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNECT_NS  (500 * NS_PER_MS)
#define REPLY_NS    (300 * NS_PER_MS)
#define BACKOFF_NS  (2 * NS_PER_S)
#define STANDING    0xda
#define MOVING      0xdb
#define LAST_VALUE  0xee
#define LAST_STEPS  200 /* of 100 ms: time enough for the longest back-off */
#define DESCRIPTORS 64

static struct driver_ops spy; /* carousel_driver, looked at */

/* --- the spy between poller and driver -------------------------------------------------------------------------------- */

static bool was_sent_for_it(const struct line *line, const struct driver_answer *answer)
{
    return line->exchange == world.exchange && line->two_came_alone && line->reply[0] == answer->status &&
           line->reply[1] == answer->position;
}

static void check_answer(const struct driver_answer *answer)
{
    bool found = false;
    for (size_t i = 0; i < LINES_MAX; i++)
        found |= was_sent_for_it(&world.lines[i], answer);
    MUST(world.in_flight);
    MUST(world.seen == (answer->sent == DRIVER_SENT)); /* two bytes at most: nothing goes out in part */
    MUST(answer->result != DRIVER_REFUSED || answer->sent == DRIVER_NOT_SENT);
    if (answer->result == DRIVER_REPLY)
        MUST(found && answer->sent == DRIVER_SENT);
    else
        MUST(answer->status == 0 && answer->position == 0);
}

static void spy_done(void *arg, const struct driver_answer *answer)
{
    (void)arg;
    listen_to_all();
    check_answer(answer);
    world.in_flight = false;
    bool reply = answer->result == DRIVER_REPLY;
    if (answer->result != DRIVER_TIMEOUT || answer->sent != DRIVER_NOT_SENT)
        world.replied = reply;
    world.believed = reply ? answer : NULL;
    world.done(world.done_arg, answer);
    world.believed = NULL;
}

static enum err_e spy_open(const struct driver_config *config, struct driver **driver)
{
    struct driver_config spied = *config;
    world.done = config->done;
    world.done_arg = config->arg;
    spied.done = spy_done;
    return carousel_driver.open(&spied, driver);
}

static void spy_close(struct driver **driver)
{
    listen_to_all();
    carousel_driver.close(driver);
    listen_to_all();
    world.in_flight = false;
}

static void spy_exchange(struct driver *driver, const struct driver_request *request)
{
    listen_to_all();
    MUST(!world.in_flight);
    world.asked = *request;
    world.exchange++;
    world.begun_ns = now_ns();
    world.in_flight = true;
    world.seen = false;
    carousel_driver.exchange(driver, request);
    listen_to_all();
}

/* --- the agent's part above it ---------------------------------------------------------------------------------------- */

static void on_reading(void *arg, const struct driver_answer *answer)
{
    (void)arg;
    MUST(world.believed == answer);
    image_reading(&world.image, answer->status, answer->position, answer->readable_ns, 0);
    world.readings++;
}

static void on_connection(void *arg, enum connection_e connection, const struct driver_answer *answer)
{
    (void)arg;
    MUST(connection != world.connection);
    MUST((connection == CONNECTION_CONNECTED) == (answer->result == DRIVER_REPLY));
    MUST(connection != CONNECTION_ERROR || answer->result == DRIVER_BAD_REPLY);
    world.connection = connection;
    image_connection(&world.image, connection, answer->readable_ns);
}

static void give_wish(void)
{
    if (!world.wished || !poller_idle(world.poller))
        return;
    world.wished = false;
    poller_command(world.poller, &world.wish);
}

static void on_turn(void *arg, const struct poller_turn *turn)
{
    (void)arg;
    (void)turn;
    MUST(poller_idle(world.poller));
    MUST(poller_connection(world.poller) == world.connection);
    MUST(!poller_fresh(world.poller) || world.replied);
    give_wish();
}

static void start_poller(void)
{
    static const struct poller_events events = {on_reading, on_connection, on_turn};
    struct poller_config config = {
        .loop = world.loop,
        .ops = &spy,
        .driver = {.host = "127.0.0.1",
                   .port = 3200,
                   .persistent = world.persistent,
                   .connect_limit_ns = CONNECT_NS},
        .profile = profile_builtin("standard"),
        .interval_ns = 250 * NS_PER_MS,
        .moving_ns = 50 * NS_PER_MS,
        .backoff_min_ns = 100 * NS_PER_MS,
        .backoff_max_ns = BACKOFF_NS,
        .reply_limit_ns = REPLY_NS,
        .seed = 1,
        .events = &events,
    };
    world.connection = CONNECTION_DISCONNECTED;
    image_init(&world.image);
    MUST(poller_new(&config, &world.poller) == ERR_OK);
}

/* --- the script -------------------------------------------------------------------------------------------------------- */

static uint8_t next_byte(void)
{
    if (world.left == 0)
        return 0;
    world.left--;
    return *world.script++;
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        loop_poll(world.loop);
    listen_to_all();
    MUST(!world.in_flight || now_ns() - world.begun_ns < CONNECT_NS + 2 * REPLY_NS);
}

/* Everything that has happened is seen before time goes on: limits that begin with it begin in time. */
static void pass(uint64_t ns)
{
    turn();
    clock_manual_advance_ns(&world.manual, ns);
    turn();
}

static void act_reply(void)
{
    uint8_t byte = next_byte();
    send_on(world.line, (const uint8_t[]){byte & 0x80 ? MOVING : STANDING, byte}, 2);
}

static void act_reply_twice(void)
{
    uint8_t byte = next_byte();
    send_on(world.line, (const uint8_t[]){STANDING, byte, STANDING, byte}, 4);
}

static void act_reply_in_two(void)
{
    uint8_t byte = next_byte();
    send_on(world.line, &byte, 1);
    turn();
    send_on(world.line, &byte, 1);
}

static void act_bytes(void)
{
    uint8_t bytes[32];
    size_t len = 1 + next_byte() % sizeof bytes;
    for (size_t i = 0; i < len; i++)
        bytes[i] = next_byte();
    send_on(world.line, bytes, len);
}

static void act_end(void)
{
    listen_to(world.line);
    if (world.line->fd >= 0)
        shutdown(world.line->fd, SHUT_WR);
}

static void act_listening(void)
{
    world.listening = next_byte() % LISTENING_COUNT;
}

static void act_pass_ms(void)
{
    pass(next_byte() * NS_PER_MS);
}

static void act_pass_long(void)
{
    static const uint64_t long_ns[] = {REPLY_NS - 1, REPLY_NS,   CONNECT_NS - 1,
                                       CONNECT_NS,   BACKOFF_NS, 10 * NS_PER_S};
    pass(long_ns[next_byte() % (sizeof long_ns / sizeof long_ns[0])]);
}

static void act_command(void)
{
    uint8_t how = next_byte();
    bool argument = (how & 4) != 0;
    world.wish = (struct driver_request){
        .command = how & 3,
        .argument = argument ? next_byte() : DRIVER_NO_ARGUMENT,
        .send_by_ns = how & 8 ? now_ns() + (uint64_t)(how >> 4) * 50 * NS_PER_MS : UINT64_MAX,
    };
    world.wished = true;
    give_wish();
}

static void act_poll_now(void)
{
    if (poller_idle(world.poller))
        poller_poll_now(world.poller);
}

static void act_watch(void)
{
    poller_watch(world.poller, next_byte() & 1);
}

static void act_restart(void)
{
    poller_free(&world.poller);
    start_poller();
}

static void act_hang_up(void)
{
    hang_up(world.line);
}

static void act_accept(void)
{
    accept_line(world.line);
}

/* By the low four bits of a byte. The next three: which connection, from the newest. The highest: the driver does not
 * get to see it yet. */
static void (*const acts[16])(void) = {
    act_reply,       act_bytes,        act_end,       act_hang_up,  act_accept, act_listening,
    act_pass_ms,     act_pass_long,    act_command,   act_poll_now, act_watch,  act_restart,
    act_reply_twice, act_reply_in_two, listen_to_all, act_reply,
};

static void act(void)
{
    uint8_t byte = next_byte();
    world.line = &world.lines[byte >> 4 & 7];
    acts[byte & 15]();
    if (!(byte & 0x80))
        turn();
}

/* --- the end ----------------------------------------------------------------------------------------------------------- */

static bool is_well(uint64_t readings)
{
    return world.readings > readings && world.connection == CONNECTION_CONNECTED &&
           world.image.now.position == LAST_VALUE;
}

/* From here on the PLC does what it should. */
static void behave(void)
{
    uint64_t readings = world.readings;
    world.listening = LISTENING_ACCEPTS;
    for (unsigned step = 0; step < LAST_STEPS && !is_well(readings); step++) {
        turn();
        for (size_t i = 0; i < LINES_MAX; i++) {
            struct line *line = &world.lines[i];
            accept_line(line);
            listen_to(line);
            if (world.in_flight && line->exchange == world.exchange && line->sent == 0)
                send_on(line, (const uint8_t[]){STANDING, LAST_VALUE}, 2);
        }
        pass(100 * NS_PER_MS);
    }
    MUST(is_well(readings));
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < DESCRIPTORS; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void begin(const uint8_t *data, size_t size)
{
    world = (struct world){.script = data + 1, .left = size - 1, .persistent = data[0] & 1};
    clock_manual_init(&world.manual, 1000 * NS_PER_S, 1764000000000);
    for (size_t i = 0; i < LINES_MAX; i++)
        world.lines[i].fd = -1;
    world.loop = loop_new(&world.manual.clock);
    MUST(world.loop != NULL);
    spy = carousel_driver;
    spy.open = spy_open;
    spy.close = spy_close;
    spy.exchange = spy_exchange;
    start_poller();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096)
        return 0;
    unsigned before = descriptors();
    begin(data, size);
    while (world.left > 0)
        act();
    behave();
    poller_free(&world.poller);
    for (size_t i = 0; i < LINES_MAX; i++)
        hang_up(&world.lines[i]);
    loop_free(&world.loop);
    MUST(descriptors() == before);
    return 0;
}
