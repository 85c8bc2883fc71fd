/* scenario_command.c — command round trips: one client, one machine whose simulator answers at once
 * (Hops: C1 to C6, R1 to R4).
 *
 * Two kinds. `status`: command 0, which the PLC answers and which changes nothing. `move`: to the next position, timed
 * up to command_result (the PLC has answered), then up to command_completed; the next one waits for that, because a
 * machine that moves answers BUSY.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "clock.h"
#include "sim_link.h"
#include "wsclient.h"

#define ANSWER_MS 5000u

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

static void run(struct bench *bench, struct wsclient *client, const char *id, bool move)
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
    const char *name = move ? "move" : "status";
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

void scenario_command(struct bench *bench)
{
    static struct rig rig;
    struct rig_config config = bench_rig(bench);
    struct wsclient client = {.fd = -1};
    char id[RIG_ID_MAX];
    rig_machine_id(0, id);
    config.machines = bench_or(bench->options.machines, bench, 1, 1);
    config.agents = true;
    config.poll_moving_ms = 5;
    enum err_e err = rig_start(&config, &rig);
    if (err == ERR_OK)
        err = prepare(&rig, &client, id);
    report_check(&bench->report, err == ERR_OK, "the system did not start");
    if (err == ERR_OK) {
        run(bench, &client, id, false);
        run(bench, &client, id, true);
    }
    wsclient_close(&client);
    report_check(&bench->report, rig_stop(&rig), "a process of the system did not end cleanly");
}
