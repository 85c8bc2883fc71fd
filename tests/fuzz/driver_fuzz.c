/* Fuzzes the agent's side of the PLC's wire: the real carousel driver, poller and image on a manual clock; the script is the
 * PLC, the network and whoever asks. What a byte of it does stands in the table `acts`.
 *
 * connect() is this file's: it hands the driver one end of a socketpair and keeps the other, so that a run is the same
 * every time, to the byte (loopback TCP delivers when the kernel finds time for it, and takes ten times as long). RST, and
 * what only TCP does, is carousel_line_test's.
 *
 * Held against every script, by a spy between poller and driver:
 * - a value is published only if it is the first two bytes that the PLC sent after this very request, on the connection
 *   that the request came over, and no third came with them;
 * - a request reaches the PLC at most once, as it was asked, not at or after its deadline, and never on a connection that owes
 *   a reply or has bytes unread; NOT_SENT and SENT are true;
 * - every exchange ends, once, within its time limits;
 * - no descriptor is lost; and with a PLC that behaves again, everything is well again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "carousel_driver.h"
#include "clock.h"
#include "image.h"
#include "must.h"
#include "poller.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX   8
#define CONNECT_NS  (500 * NS_PER_MS)
#define REPLY_NS    (300 * NS_PER_MS)
#define BACKOFF_NS  (2 * NS_PER_S)
#define STANDING    0xda
#define MOVING      0xdb
#define LAST_VALUE  0xee
#define LAST_STEPS  200 /* of 100 ms: time enough for the longest back-off */
#define DESCRIPTORS 64

/* The PLC's end of a connection. */
struct line {
    int fd;              /* -1: none */
    bool accepted;       /* else the driver's end is filled with junk, so that it goes on connecting */
    uint64_t exchange;   /* whose request came last; 0: none */
    size_t sent;         /* since then */
    bool two_came_alone; /* some send of them ended with the second byte */
    uint8_t reply[2];
};

enum listening_e { LISTENING_ACCEPTS, LISTENING_BACKLOG, LISTENING_REFUSES, LISTENING_COUNT };

struct world {
    struct clock_manual manual;
    struct loop *loop;
    struct poller *poller;
    struct image image;
    bool persistent;

    struct line lines[LINES_MAX]; /* the newest first */
    enum listening_e listening;

    driver_done_f *done; /* the poller's */
    void *done_arg;
    struct driver_request asked;
    uint64_t exchange, begun_ns;
    bool in_flight, seen; /* seen: its request has reached the PLC */
    bool replied;         /* the last exchange; not one whose time was over before it began */
    const struct driver_answer *believed;
    uint64_t readings;
    enum connection_e connection;

    struct driver_request wish; /* a command for the next turn */
    bool wished;

    const uint8_t *script;
    size_t left;
    struct line *line; /* which the present act is about */
};

static struct world world;
static struct driver_ops spy; /* carousel_driver, looked at */

static uint64_t now_ns(void)
{
    return loop_now_ns(world.loop);
}

/* --- the PLC's ends ------------------------------------------------------------------------------------------------ */

/* A request has come: it must be the one that was asked, for the first time, on a connection on which nothing is owed or
 * unread: the PLC's next bytes would be taken for its reply. */
static void take_request(struct line *line, const uint8_t *bytes, size_t len)
{
    const struct driver_request *asked = &world.asked;
    bool argument = asked->argument != DRIVER_NO_ARGUMENT;
    MUST(world.in_flight && !world.seen);
    MUST(len == 1u + argument && bytes[0] == asked->command && (!argument || bytes[1] == asked->argument));
    MUST(now_ns() < asked->send_by_ns);
    MUST(line->sent == (line->exchange == 0 ? 0 : 2));
    world.seen = true;
    line->exchange = world.exchange;
    line->sent = 0;
    line->two_came_alone = false;
}

static void listen_to(struct line *line)
{
    uint8_t bytes[64];
    if (line->fd < 0 || !line->accepted)
        return;
    ssize_t n = recv(line->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        take_request(line, bytes, (size_t)n);
}

/* What was sent on it stays known: it may still lie unread at the driver. */
static void hang_up(struct line *line)
{
    listen_to(line);
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
}

static void listen_to_all(void)
{
    for (size_t i = 0; i < LINES_MAX; i++)
        listen_to(&world.lines[i]);
}

static void send_on(struct line *line, const uint8_t *bytes, size_t len)
{
    listen_to(line); /* so that it is known what these bytes come after */
    if (line->fd < 0 || !line->accepted || send(line->fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
        return;
    for (size_t i = 0; i < len && line->sent + i < 2; i++)
        line->reply[line->sent + i] = bytes[i];
    line->sent += len;
    line->two_came_alone |= line->sent == 2;
}

static void accept_line(struct line *line)
{
    uint8_t junk[4096];
    if (line->fd < 0 || line->accepted)
        return;
    while (recv(line->fd, junk, sizeof junk, MSG_DONTWAIT) > 0)
        ;
    line->accepted = true;
}

/* --- the network: what the driver's calls reach ----------------------------------------------------------------------- */

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    (void)address;
    (void)len;
    int pair[2], room = 1; /* the kernel's smallest */
    if (world.listening == LISTENING_REFUSES ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
        errno = ECONNREFUSED;
        return -1;
    }
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    MUST(dup3(pair[0], fd, O_CLOEXEC) == fd);
    close(pair[0]);
    hang_up(&world.lines[LINES_MAX - 1]);
    memmove(world.lines + 1, world.lines, sizeof world.lines - sizeof world.lines[0]);
    world.lines[0] = (struct line){.fd = pair[1], .accepted = world.listening == LISTENING_ACCEPTS};
    static const uint8_t junk[1024];
    while (!world.lines[0].accepted && send(fd, junk, sizeof junk, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    errno = EINPROGRESS;
    return world.lines[0].accepted ? 0 : -1;
}

/* Both ends of a pair have the same, empty name; the driver refuses connections to itself. */
int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    (void)fd;
    MUST(*len >= sizeof(struct sockaddr));
    *address = (struct sockaddr){.sa_family = AF_INET};
    *len = sizeof *address;
    return 0;
}

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
