/* metrics_page.c — see metrics_page.h. */
#include "metrics_page.h"

#include <string.h>

#include "metric_texts.h"

static const char top[] =
    "# Metrics\n"
    "\n"
    "Every counter, gauge and histogram of every process, and what it means. Made by `noria metrics-page`; a "
    "test compares.\n"
    "\n"
    "- `noria stats -c FILE [PREFIX]` prints the values, by the names of the first column; with `--explain` "
    "the meanings, too.\n"
    "- `GET /metrics` of any listener with the dialect `rest` or `ops` has all of them as Prometheus text "
    "(0.0.4): `noria_ROLE_NAME`, "
    "counters with\n"
    "  `_total`, histograms in seconds with `_bucket`, `_sum` and `_count`. Labels: `process=\"worker.0\"` "
    "(a worker's number is the slot "
    "that the broker gave it, as in\n"
    "  `shm/` and the log), `machine=\"lift-1\"` for agents, and for `process` the names of the launcher's "
    "members. Beside them: "
    "`noria_process_up`,\n"
    "  `noria_scrape_segments{outcome=…}`, `noria_scrape_seconds`, `noria_build_info`.\n"
    "- A process that is dead has no values. A counter begins at 0 with its process.\n"
    "- **Alarm**: when it is worth waking somebody, or at least looking: `rises` means any increase within "
    "some minutes. "
    "[conf/alerts.yaml](conf/alerts.yaml) has rules for\n"
    "  Prometheus to begin with.\n"
    "\n"
    "Hops are those of the [pipeline](../README.md#the-two-flows): an age of a reading counts from the "
    "moment at which the PLC's answer "
    "was readable at its agent, an\n"
    "age of a command or answer from the moment at which the client's message was read.\n";

static const struct {
    const char *role, *title;
} sections[] = {
    {"agent", "Agents: one per machine (`shm/agent.SLOT`, kept by the broker from what heartbeats tell, once "
              "a second)"},
    {"broker", "Broker (`shm/broker`)"},
    {"launcher", "Launcher: sums over all members (`shm/launcher`)"},
    {"process", "Members of the launcher: one per process that it keeps up (`shm/process.NAME`)"},
    {"store", "Store (`shm/store`)"},
    {"worker", "Workers (`shm/worker.SLOT`)"},
};

static void put_title(FILE *out, const char *role)
{
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i].role, role) == 0)
            fprintf(out, "\n## %s\n\n| metric | in `/metrics` | alarm | meaning |\n|---|---|---|---|\n",
                    sections[i].title);
}

void metrics_page(FILE *out)
{
    const char *role = "";
    const struct metric_text *text;
    fputs(top, out);
    for (size_t i = 0; (text = metric_text_at(i)) != NULL; i++) {
        char family[METRIC_NAME_MAX + 1];
        if (strcmp(role, text->role) != 0)
            put_title(out, text->role);
        role = text->role;
        metric_family_name(family, role, text->name, text->kind);
        fprintf(out, "| `%s` | `%s` | %s | %s |\n", text->name, family, text->alarm, text->text);
    }
}
