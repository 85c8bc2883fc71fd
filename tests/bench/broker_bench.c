/* broker_bench BROKER [SECONDS [STREAMS | store | reload]] — what Hops D6 and D7 cost, and how long a restart takes.
 *
 *   throughput   agents of this process send STATE messages that differ, as fast as the broker takes them; figures are
 *                the broker's counters and the CPU time of its threads
 *   latency      one agent sends one STATE at a time; the D5 → D7 histogram of the broker
 *   restart      kill -9 with a full ring of 64 MiB, 1,000 machines; exec to READY, and the part of it that reads the ring
 *   comeback     1,000 agents after that restart: until all are attached again
 *
 * With STREAMS, throughput alone: all machines' states bridged to so many streams (0: none), for runs that take turns. With `store`, what is between
 * workers and the store alone:
 *
 *   events       a store sends EVENTs, as many as may be without an acknowledgement; then one at a time, EVENT to EVENT_ACK
 *   relay        a worker asks, a store answers, 64 under way; then one at a time
 *
 * With `reload`, how long another configuration holds the broker's loop, 1,000 agents attached, medians of SECONDS rounds.
 */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "broker_rig.h"
#include "clock.h"
#include "link.h"
#include "machine.h"
#include "must.h"
#include "profile.h"

#define MACHINES 1000
#define SENDERS  16

struct agent {
    struct link *link;
    char id[16];
    uint64_t ups, seq, incarnation;
};

static struct agent agents[MACHINES];

static void write_conf(int streams)
{
    broker_rig_configure(MACHINES, "", streams);
}

/* --- agents ----------------------------------------------------------------------------------------------------------- */

static void on_hello(void *arg, struct wire_hello *hello)
{
    const struct agent *agent = arg;
    hello->machine = wire_text(agent->id);
    hello->profile_hash = profile_hash(profile_builtin("standard"));
}

static void on_up(void *arg, const struct wire_hello_ok *ok)
{
    (void)ok;
    ((struct agent *)arg)->ups++;
}

static void on_down(void *arg)
{
    (void)arg;
}

static void on_refused(void *arg, const char *reason)
{
    (void)arg;
    fprintf(stderr, "refused: %s\n", reason);
    abort();
}

static void on_message(void *arg, const struct wire_message *message)
{
    (void)arg;
    (void)message;
}

static const struct link_events events = {on_hello, on_up, on_down, on_refused, on_message, NULL, NULL};

static void agent_open(size_t i)
{
    struct agent *agent = &agents[i];
    struct link_config config = {.endpoint = broker_rig.endpoint,
                                 .role = WIRE_AGENT,
                                 .incarnation = i + 1,
                                 .clock = clock_system(),
                                 .events = &events,
                                 .arg = agent};
    agent->incarnation = i + 1;
    snprintf(agent->id, sizeof agent->id, "machine_%zu", i);
    MUST(link_open(&config, &agent->link) == ERR_OK);
}

static bool say(struct agent *agent)
{
    struct wire_message message = {.type = WIRE_STATE};
    message.state = (struct wire_state){.agent_gen = agent->incarnation,
                                        .state_seq = agent->seq + 1,
                                        .machine = wire_text(agent->id),
                                        .connection = CONNECTION_CONNECTED,
                                        .has_reading = true,
                                        .raw_status = 218 + (agent->seq & 1),
                                        .position = agent->seq % 26,
                                        .source_ns = now_ns()};
    if (link_send(agent->link, &message) != ERR_OK)
        return false;
    agent->seq++;
    return true;
}

static void up_all(size_t count, uint64_t ups)
{
    for (size_t up = 0; up < count;) {
        up = 0;
        for (size_t i = 0; i < count; i++) {
            link_service(agents[i].link, 64);
            up += agents[i].ups >= ups;
        }
        usleep(200);
    }
}

/* --- parts ------------------------------------------------------------------------------------------------------------ */

static void throughput(unsigned seconds)
{
    double whole[2], first[2];
    uint64_t before = broker_rig_metric("states_published", 0), batches = broker_rig_metric("batches", 0),
             start = now_ns();
    broker_rig_cpu(broker_rig.pid, &whole[0], &first[0]);
    while (now_ns() - start < seconds * NS_PER_S)
        for (size_t i = 0; i < SENDERS; i++) {
            for (int burst = 0; burst < 64 && say(&agents[i]); burst++)
                ;
            link_service(agents[i].link, 64);
        }
    double elapsed = (double)(now_ns() - start) / 1e9;
    uint64_t states = broker_rig_metric("states_published", 0) - before;
    batches = broker_rig_metric("batches", 0) - batches;
    broker_rig_cpu(broker_rig.pid, &whole[1], &first[1]);
    printf("throughput: %.0f states/s published, broker CPU %.2f us each (its own thread %.2f, ZeroMQ's "
           "%.2f), %.0f per "
           "batch\n",
           (double)states / elapsed, (whole[1] - whole[0]) * 1e6 / (double)states,
           (first[1] - first[0]) * 1e6 / (double)states,
           (whole[1] - whole[0] - first[1] + first[0]) * 1e6 / (double)states,
           (double)states / (double)batches);
}

static void latency(void)
{
    for (int i = 0; i < 2000; i++) {
        uint64_t before = broker_rig_metric("states_published", 0);
        say(&agents[0]);
        while (broker_rig_metric("states_published", 0) == before)
            ;
        usleep(500);
    }
    printf("latency D5 to D7, one at a time: p50 %.0f us, p99 %.0f us\n",
           (double)broker_rig_metric("hop_d7_ns", 0.5) / 1e3,
           (double)broker_rig_metric("hop_d7_ns", 0.99) / 1e3);
}

static void restart(void)
{
    uint64_t start = broker_rig_metric("states_published", 0);
    while (broker_rig_metric("states_published", 0) - start < 300000) /* more than a ring's worth */
        for (size_t i = 0; i < SENDERS; i++) {
            for (int burst = 0; burst < 64 && say(&agents[i]); burst++)
                ;
            link_service(agents[i].link, 64);
        }
    broker_rig_stop(SIGKILL);
    uint64_t took = broker_rig_start();
    printf("restart with a full ring: exec to READY %.1f ms, of which reading %llu records took %.1f ms\n",
           (double)took / 1e6, (unsigned long long)broker_rig_metric("restore_records", 0),
           (double)broker_rig_metric("restore_us", 0) / 1e3);
}

static void comeback(void)
{
    for (size_t i = SENDERS; i < MACHINES; i++)
        agent_open(i);
    up_all(MACHINES, 1);
    for (size_t i = 0; i < MACHINES; i++)
        agents[i].ups = 0;
    broker_rig_stop(SIGKILL);
    uint64_t start = now_ns();
    broker_rig_start();
    up_all(MACHINES, 1);
    printf("comeback: broker killed, %d agents attached again %.0f ms after its exec\n", MACHINES,
           (double)(now_ns() - start) / 1e6);
}

static void machine_figures(unsigned seconds, bool all)
{
    for (size_t i = 0; i < SENDERS; i++)
        agent_open(i);
    up_all(SENDERS, 1);
    if (all)
        latency();
    throughput(seconds);
    if (all) {
        restart();
        comeback();
    }
}

/* --- reload ------------------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t reload(int machines, const char *more)
{
    uint64_t before = broker_rig_metric("reloads", 0);
    broker_rig_configure(machines, more, 0);
    kill(broker_rig.pid, SIGHUP);
    while (broker_rig_metric("reloads", 0) == before)
        for (size_t i = 0; i < MACHINES; i++)
            if (link_state(agents[i].link) != LINK_REFUSED)
                link_service(agents[i].link, 64);
    return broker_rig_metric("reload_us", 0);
}

static void reload_figures(unsigned rounds)
{
    static const struct {
        const char *what;
        int machines;
        const char *more;
    } steps[] = {{"a time limit of all changes", MACHINES, ", stale_after_ms: 4000"},
                 {"the profile of all changes", MACHINES, ", profile: delta-as"},
                 {"as many more come", 2 * MACHINES, ", profile: delta-as"},
                 {"they go", MACHINES, ", profile: delta-as"},
                 {"all are described otherwise", MACHINES, ", profile: delta-as, name: x"}};
    uint64_t took[16][sizeof steps / sizeof steps[0]], sorted[16];
    rounds = rounds < 16 ? rounds : 16;
    for (size_t i = 0; i < MACHINES; i++)
        agent_open(i);
    up_all(MACHINES, 1);
    for (unsigned round = 0; round < rounds; round++) {
        reload(MACHINES, "");
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
            took[round][i] = reload(steps[i].machines, steps[i].more);
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        for (unsigned round = 0; round < rounds; round++)
            sorted[round] = took[round][i];
        qsort(sorted, rounds, sizeof sorted[0], by_size);
        printf("reload, 1,000 machines, %s: the loop stands for %.1f ms (%.1f at most)\n", steps[i].what,
               (double)sorted[rounds / 2] / 1e3, (double)sorted[rounds - 1] / 1e3);
    }
    printf("preparing the last of them on the loop: %.1f ms\n",
           (double)broker_rig_metric("reload_prepare_us", 0) / 1e3);
}

/* --- the store ---------------------------------------------------------------------------------------------------------- */

enum { WORKER = 900, SOURCE = 4711, RELAY_WINDOW = 64, SINGLES = 5000 };

static char body[16 * 1024];
static size_t body_len;

struct store_end {
    struct link *link;
    uint64_t ups, count; /* acknowledgements, or answers */
};

static void on_store_up(void *arg, const struct wire_hello_ok *ok)
{
    (void)ok;
    ((struct store_end *)arg)->ups++;
}

static void on_store_hello(void *arg, struct wire_hello *hello)
{
    (void)arg;
    (void)hello;
}

static void on_store_message(void *arg, const struct wire_message *message)
{
    struct store_end *end = arg;
    const struct wire_store_request *request = &message->store_request;
    struct wire_message reply = {.type = WIRE_STORE_REPLY,
                                 .store_reply = {.worker = request->worker,
                                                 .serial = request->serial,
                                                 .status = 200,
                                                 .last = true,
                                                 .body = {body, (uint32_t)body_len}}};
    if (message->type == WIRE_STORE_REQUEST)
        MUST(link_send(end->link, &reply) == ERR_OK);
    else
        end->count++;
}

static const struct link_events store_events = {on_store_hello,   on_store_up, on_down, on_refused,
                                                on_store_message, NULL,        NULL};

static void store_end_open(struct store_end *end, enum wire_role_e role, uint64_t incarnation)
{
    struct link_config config = {.endpoint = broker_rig.endpoint,
                                 .role = role,
                                 .incarnation = incarnation,
                                 .clock = clock_system(),
                                 .events = &store_events,
                                 .arg = end,
                                 .gathers = true};
    MUST(link_open(&config, &end->link) == ERR_OK);
    while (end->ups == 0)
        link_service(end->link, 64);
}

static void say_event(struct store_end *store, uint64_t seq)
{
    struct wire_message message = {.type = WIRE_EVENT,
                                   .event = {SOURCE, seq, {"sensors", 7}, {body, (uint32_t)body_len}}};
    MUST(link_send(store->link, &message) == ERR_OK);
}

static void say_request(struct store_end *worker, uint64_t serial)
{
    struct wire_message message = {.type = WIRE_STORE_REQUEST,
                                   .store_request = {.worker = WORKER,
                                                     .serial = serial,
                                                     .who = wire_text(""),
                                                     .arguments = {body, (uint32_t)body_len}}};
    MUST(link_send(worker->link, &message) == ERR_OK);
}

/* `asker` says `say`(1), (2), …, `window` of them unanswered at most; `other` is the one that answers, if the broker does not. */
static void flow(const char *what, unsigned seconds, struct store_end *asker, struct store_end *other,
                 uint64_t window, void (*say_one)(struct store_end *end, uint64_t n))
{
    static uint64_t said, took[SINGLES]; /* numbers go on from call to call */
    double whole[2], first[2];
    uint64_t begin = said;
    asker->count = 0;
    broker_rig_cpu(broker_rig.pid, &whole[0], &first[0]);
    uint64_t start = now_ns();
    while (now_ns() - start < seconds * NS_PER_S || asker->count < said - begin) {
        while (said - begin - asker->count < window && now_ns() - start < seconds * NS_PER_S)
            say_one(asker, ++said);
        link_service(asker->link, 256);
        link_service(other->link, 256);
    }
    double elapsed = (double)(now_ns() - start) / 1e9, count = (double)(said - begin);
    broker_rig_cpu(broker_rig.pid, &whole[1], &first[1]);
    for (size_t i = 0; i < SINGLES; i++) {
        uint64_t sent = now_ns(), before = asker->count;
        say_one(asker, ++said);
        link_look(asker->link);
        while (asker->count == before) {
            link_service(other->link, 16);
            link_service(asker->link, 16);
        }
        took[i] = now_ns() - sent;
    }
    qsort(took, SINGLES, sizeof took[0], by_size);
    printf("%s of %zu bytes: %.0f /s, broker CPU %.2f us each (its own thread %.2f); one at a time p50 %.0f "
           "us\n",
           what, body_len, count / elapsed, (whole[1] - whole[0]) * 1e6 / count,
           (first[1] - first[0]) * 1e6 / count, (double)took[SINGLES / 2] / 1e3);
}

static void store_figures(unsigned seconds)
{
    static const size_t lens[] = {300, 2048, 16 * 1024};
    struct store_end store = {0}, worker = {0};
    store_end_open(&store, WIRE_STORE, 700);
    store_end_open(&worker, WIRE_WORKER, WORKER);
    memset(body, 'x', sizeof body);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        body_len = lens[i];
        body[0] = '{';
        body[body_len - 1] = '}';
        flow("events", seconds, &store, &worker, WIRE_EVENTS_WINDOW, say_event);
        flow("requests and replies", seconds, &worker, &store, RELAY_WINDOW, say_request);
        body[body_len - 1] = 'x';
    }
    link_close(&store.link);
    link_close(&worker.link);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: broker_bench BROKER [SECONDS [STREAMS | store | reload]]\n", stderr);
        return 2;
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    broker_rig.program = argv[1];
    snprintf(broker_rig.dir, sizeof broker_rig.dir, "/dev/shm/broker_bench.XXXXXX");
    MUST(mkdtemp(broker_rig.dir) != NULL);
    snprintf(broker_rig.conf_file, sizeof broker_rig.conf_file, "%s/noria.yaml", broker_rig.dir);
    snprintf(broker_rig.endpoint, sizeof broker_rig.endpoint, "ipc://%s/bus/broker.sock", broker_rig.dir);
    write_conf(argc > 3 ? atoi(argv[3]) : 0);
    broker_rig_start();
    unsigned seconds = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
    const char *only = argc > 3 ? argv[3] : "";
    if (strcmp(only, "store") == 0)
        store_figures(seconds);
    else if (strcmp(only, "reload") == 0)
        reload_figures(seconds);
    else
        machine_figures(seconds, argc <= 3);
    for (size_t i = 0; i < MACHINES; i++)
        if (agents[i].link != NULL)
            link_close(&agents[i].link);
    broker_rig_stop(SIGTERM);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", broker_rig.dir);
    return system(command) == 0 ? 0 : 1;
}
