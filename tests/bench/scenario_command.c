/* scenario_command.c — command round trips: one client, one machine whose simulator answers at once
 * (Hops: C1 to C6, R1 to R4).
 *
 * Two kinds. `status`: command 0, which the PLC answers and which changes nothing. `move`: to the next position, timed
 * up to command_result (the PLC has answered), then up to command_completed; the next one waits for that, because a
 * machine that moves answers BUSY.
 *
 * A move is journalled before it is written, and its result before it is told: two waits for the disk. So moves are made
 * twice, with the journal on a disk and on a tmpfs, where a sync costs nothing; beside them what one append and fdatasync
 * of a line's size costs on that disk without anything else.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "sim_link.h"
#include "wsclient.h"

#define ANSWER_MS  5000u
#define LINE_BYTES 400 /* of the journal, about */

struct round_trips {
    struct hist result, completion;
    uint32_t done, failed;
};

static enum err_e one(struct wsclient *client, const char *request, bool move, struct round_trips *trips)
{
    char text[4096];
    uint64_t begun = clock_mono_ns(clock_system());
    enum err_e err = wsclient_send(client, request);
    if (err == ERR_OK)
        err = wsclient_expect(client, "\"type\":", text, sizeof text, ANSWER_MS);
    if (err != ERR_OK || strstr(text, "\"command_result\"") == NULL ||
        strstr(text, "\"success\":true") == NULL) {
        trips->failed++;
        if (trips->failed == 1)
            printf("  first failure: %s %s\n", err_text(err), err == ERR_OK ? text : "");
        return err == ERR_OK ? ERR_MISMATCH : err;
    }
    hist_add(&trips->result, client->received_ns - begun);
    if (move) {
        err = wsclient_expect(client, "\"command_completed\"", text, sizeof text, ANSWER_MS);
        if (err == ERR_OK)
            hist_add(&trips->completion, client->received_ns - begun);
    }
    trips->done += err == ERR_OK;
    return err;
}

static void run(struct bench *bench, struct wsclient *client, const char *id, const char *name, bool move)
{
    static struct round_trips trips;
    trips = (struct round_trips){0};
    uint32_t samples = bench_or(bench->options.samples, bench, 1000, 50);
    if (move)
        samples = samples / 4 + 1;
    enum err_e err = ERR_OK;
    for (uint32_t i = 0; i < samples && err != ERR_CLOSED && err != ERR_TIMEOUT; i++) {
        char request[256];
        if (move)
            snprintf(request, sizeof request,
                     "{\"type\":\"send_command\",\"machine_id\":\"%s\",\"command\":1,\"argument\":%u}", id,
                     (i + 1) % 26);
        else
            snprintf(request, sizeof request,
                     "{\"type\":\"send_command\",\"machine_id\":\"%s\",\"command\":0}", id);
        err = one(client, request, move, &trips);
    }
    struct report *report = &bench->report;
    report_value(report, name, "samples", trips.done, "");
    report_value(report, name, "round trip p50", (double)hist_quantile(&trips.result, 0.5) / 1e3, "us");
    report_value(report, name, "round trip p99", (double)hist_quantile(&trips.result, 0.99) / 1e3, "us");
    if (move)
        report_value(report, name, "to completion p50", (double)hist_quantile(&trips.completion, 0.5) / 1e3,
                     "us");
    report_check(report, trips.done == samples && trips.failed == 0, "%s: %u of %u answered, %u failed", name,
                 trips.done, samples, trips.failed);
}

/* The machine must have been read once before it takes commands. */
static enum err_e wait_connected(struct wsclient *client, const char *id)
{
    char request[128], text[WSCLIENT_TEXT_MAX];
    snprintf(request, sizeof request, "{\"type\":\"get_status\",\"machine_id\":\"%s\"}", id);
    for (unsigned tries = 0; tries < 500; tries++) {
        enum err_e err = wsclient_send(client, request);
        if (err == ERR_OK)
            err = wsclient_expect(client, "machine_status", text, sizeof text, ANSWER_MS);
        if (err != ERR_OK || strstr(text, "\"connection_status\":\"connected\"") != NULL)
            return err;
        bench_sleep_ms(10);
    }
    return ERR_TIMEOUT;
}

static enum err_e prepare(const struct rig *rig, struct wsclient *client, const char *id)
{
    char command[64], text[WSCLIENT_TEXT_MAX];
    snprintf(command, sizeof command, "pace %s 0", id);
    enum err_e err = sim_link_command(rig, command);
    if (err == ERR_OK)
        err = wsclient_open(client, rig->port);
    if (err == ERR_OK)
        err = wsclient_expect(client, "\"welcome\"", text, sizeof text, ANSWER_MS);
    return err == ERR_OK ? wait_connected(client, id) : err;
}

static void bare_sync(struct bench *bench, const struct rig *rig)
{
    static struct hist syncs;
    char path[128], line[LINE_BYTES];
    snprintf(path, sizeof path, "%s/bare", rig->state);
    memset(line, 'x', sizeof line);
    syncs = (struct hist){0};
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    for (uint32_t i = 0, samples = bench_or(0, bench, 300, 20); ok && i < samples; i++) {
        uint64_t begun = clock_mono_ns(clock_system());
        ok = write(fd, line, sizeof line) == (ssize_t)sizeof line && fdatasync(fd) == 0;
        hist_add(&syncs, clock_mono_ns(clock_system()) - begun);
    }
    if (fd >= 0)
        close(fd);
    unlink(path);
    report_check(&bench->report, ok, "the journal's disk could not be written");
    report_value(&bench->report, "bare append and fdatasync", "p50", (double)hist_quantile(&syncs, 0.5) / 1e3,
                 "us");
    report_value(&bench->report, "bare append and fdatasync", "p99",
                 (double)hist_quantile(&syncs, 0.99) / 1e3, "us");
}

static void on_one_disk(struct bench *bench, bool tmpfs)
{
    static struct rig rig;
    struct rig_config config = bench_rig(bench);
    struct wsclient client = {.fd = -1};
    char id[RIG_ID_MAX];
    rig_machine_id(0, id);
    config.machines = bench_or(bench->options.machines, bench, 1, 1);
    config.agents = true;
    config.state_on_tmpfs = tmpfs;
    config.poll_moving_ms = 5;
    enum err_e err = rig_start(&config, &rig);
    if (err == ERR_OK)
        err = prepare(&rig, &client, id);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK && !tmpfs) {
        bare_sync(bench, &rig);
        run(bench, &client, id, "status", false);
    }
    if (err == ERR_OK)
        run(bench, &client, id, tmpfs ? "move, journal on tmpfs" : "move", true);
    wsclient_close(&client);
    report_check(&bench->report, rig_stop(&rig), "a process of the system did not end cleanly");
}

void scenario_command(struct bench *bench)
{
    on_one_disk(bench, false);
    on_one_disk(bench, true);
}
