/* journal_bench DIRECTORY [ROUNDS] — what the agents' journal costs (figures for common/journal and plc-agent).
 *
 *   settle    append → settled, durable and written, in turns with a bare pwrite and fdatasync of as many bytes in the same
 *             directory: all three see the same disk at the same time
 *   cpu       of the whole process, per record, in batches as the thread finds them
 *   line      writing and reading one line, hash included, CPU
 *   replay    from journal_new() to up, with two full segments in both chains
 *
 * DIRECTORY is made; remove it afterwards.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "journal.h"
#include "journal_record.h"
#include "must.h"

#define LINE_BYTES 430
#define ROUNDS     2000
#define KEEP_BYTES (64u << 20)
#define CPU_MANY   20000u
#define LINES      100000u
#define FILL       24000u /* records of each chain: over two segments */

static struct loop *loop;
static struct journal *journal;
static uint64_t settled, replayed;

static void on_settled(void *arg, uint64_t upto, bool ok)
{
    (void)arg;
    MUST(ok);
    settled = upto;
    loop_stop(loop);
}

static void on_replay(void *arg, const struct journal_record *record)
{
    (void)arg;
    (void)record;
    replayed++;
}

static void on_state(void *arg, bool up, const char *why)
{
    (void)arg;
    if (!up)
        fprintf(stderr, "journal_bench: %s\n", why);
    MUST(up);
    loop_stop(loop);
}

static uint64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static void start(const char *directory)
{
    static const struct journal_events events = {on_settled, on_replay, on_state};
    struct journal_config config = {.loop = loop,
                                    .directory = directory,
                                    .incarnation = 1,
                                    .keep_bytes = KEEP_BYTES,
                                    .keep_ms = 400ULL * 86400000,
                                    .events = &events};
    settled = replayed = 0;
    MUST(journal_new(&config, &journal) == ERR_OK);
    loop_run(loop);
}

static struct journal_record a_record(enum journal_chain_e chain, uint64_t serial)
{
    struct journal_record record = {
        .event = chain == JOURNAL_COMMANDS && serial % 3 == 0 ? JOURNAL_INTENT : JOURNAL_RESULT,
        .chain = chain,
        .worker = 0x123456789abcdef0,
        .session = 17,
        .serial = serial,
        .command = COMMAND_MOVE,
        .argument = 25,
        .arrived_wall_ms = clock_wall_ms(clock_system()),
        .arrived_mono_ns = now_ns(),
        .before = {true, 218, 3},
        .after = {true, 219, 3},
        .sent = true,
        .position = 3,
        .deadline_ms = 5000,
    };
    strcpy(record.request_id, "5f0c0a52-7a0e-4a53-b1dc-0d9c0a1b2c3d");
    strcpy(record.scope, "p:warehouse");
    strcpy(record.who, "warehouse");
    strcpy(record.from, "192.168.17.21:43210");
    return record;
}

static uint64_t append(enum journal_chain_e chain, uint64_t serial, enum journal_safety_e safety)
{
    struct journal_record record = a_record(chain, serial);
    return journal_append(journal, &record, safety);
}

static void wait_for(uint64_t number)
{
    while (settled < number)
        loop_run(loop);
}

/* --- settle ------------------------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void print_quantiles(const char *what, uint64_t *ns, unsigned count)
{
    qsort(ns, count, sizeof ns[0], by_value);
    printf("%-28s p50 %7.1f µs  p99 %8.1f µs\n", what, (double)ns[count / 2] / 1e3,
           (double)ns[count * 99 / 100] / 1e3);
}

static uint64_t one_bare(int fd, uint64_t round)
{
    static char line[LINE_BYTES];
    uint64_t begin = now_ns();
    MUST(pwrite(fd, line, sizeof line, (off_t)(round * sizeof line)) == sizeof line && fdatasync(fd) == 0);
    return now_ns() - begin;
}

static uint64_t one_append(enum journal_safety_e safety, uint64_t round)
{
    uint64_t begin = now_ns();
    wait_for(append(JOURNAL_COMMANDS, round, safety));
    return now_ns() - begin;
}

static void measure_settle(const char *directory, unsigned rounds)
{
    char path[512];
    uint64_t *ns = calloc(3 * (size_t)rounds, sizeof *ns);
    snprintf(path, sizeof path, "%s/bare", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    MUST(fd >= 0 && ns != NULL);
    for (unsigned i = 0; i < rounds; i++) {
        ns[i] = one_bare(fd, i);
        ns[rounds + i] = one_append(JOURNAL_DURABLE, i);
        ns[2 * rounds + i] = one_append(JOURNAL_WRITTEN, i);
    }
    print_quantiles("bare pwrite + fdatasync", ns, rounds);
    print_quantiles("append → settled durable", ns + rounds, rounds);
    print_quantiles("append → settled written", ns + 2 * rounds, rounds);
    close(fd);
    unlink(path);
    free(ns);
}

/* --- cpu --------------------------------------------------------------------------------------------------------- */

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void measure_cpu(const char *what, enum journal_safety_e safety, unsigned at_once)
{
    double begin = cpu_us();
    uint64_t from = now_ns();
    for (unsigned i = 0; i < CPU_MANY / at_once; i++) {
        uint64_t last = 0;
        for (unsigned k = 0; k < at_once; k++)
            last = append(JOURNAL_COMMANDS, i, safety);
        wait_for(last);
    }
    printf("%-28s %5.1f µs CPU per record, %7.0f records/s\n", what, (cpu_us() - begin) / CPU_MANY,
           CPU_MANY * 1e9 / (double)(now_ns() - from));
}

/* --- line -------------------------------------------------------------------------------------------------------- */

static void measure_line(void)
{
    char line[JOURNAL_LINE_MAX];
    uint8_t hash[JOURNAL_HASH] = {0}, before[JOURNAL_HASH];
    struct journal_record record = a_record(JOURNAL_COMMANDS, 1), read;
    struct out out;
    double begin = cpu_us();
    for (unsigned i = 0; i < LINES; i++) {
        memcpy(before, hash, sizeof hash);
        out = out_init(line, sizeof line);
        journal_record_write(&record, hash, &out);
    }
    double wrote = cpu_us();
    for (unsigned i = 0; i < LINES; i++) {
        memcpy(hash, before, sizeof hash);
        MUST(journal_record_read(line, out.len - 1, hash, &read) == ERR_OK);
    }
    printf("line of %zu bytes: write %.2f µs, read %.2f µs of CPU\n", out.len, (wrote - begin) / LINES,
           (cpu_us() - wrote) / LINES);
}

/* --- replay ------------------------------------------------------------------------------------------------------ */

static void measure_replay(const char *directory)
{
    for (uint64_t i = 0; i < FILL; i++) {
        append(JOURNAL_COMMANDS, i, JOURNAL_WRITTEN);
        uint64_t last = append(JOURNAL_REFUSALS, i, JOURNAL_WRITTEN);
        if (i % 100 == 99)
            wait_for(last);
    }
    journal_free(&journal);
    uint64_t begin = now_ns();
    double cpu = cpu_us();
    start(directory);
    printf("open with full segments      %.0f ms, %.0f ms CPU; %llu records replayed\n",
           (double)(now_ns() - begin) / 1e6, (cpu_us() - cpu) / 1e3, (unsigned long long)replayed);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : ROUNDS;
    if (argc < 2 || rounds == 0) {
        fprintf(stderr, "usage: journal_bench DIRECTORY [ROUNDS]\n");
        return 2;
    }
    loop = loop_new(clock_system());
    MUST(loop != NULL);
    start(argv[1]);
    measure_settle(argv[1], rounds);
    measure_cpu("written, one at a time", JOURNAL_WRITTEN, 1);
    measure_cpu("written, 50 at a time", JOURNAL_WRITTEN, 50);
    measure_cpu("durable, 50 at a time", JOURNAL_DURABLE, 50);
    measure_line();
    measure_replay(argv[1]);
    journal_free(&journal);
    loop_free(&loop);
    return 0;
}
