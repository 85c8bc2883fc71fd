/* Every metric of every process has its sentence, every sentence its metric, and deploy/METRICS.md is what they make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker_metrics.h"
#include "launch_segments.h"
#include "metric_texts.h"
#include "must.h"
#include "store_metrics.h"
#include "wire_metrics.h"
#include "worker_metrics.h"

static const struct {
    const char *role, *name;
    enum stats_kind_e kind;
} metrics[] = {
#define X(NAME, name, KIND) {"agent", #name, STATS_##KIND},
    WIRE_AGENT_METRICS(X)
#undef X
#define X(NAME, name) {"agent", #name, STATS_HISTOGRAM},
        WIRE_AGENT_HISTOGRAMS(X)
#undef X
#define X(NAME, name, KIND) {"broker", #name, STATS_##KIND},
            BROKER_METRICS(X)
#undef X
#define X(name, KIND) {"launcher", #name, STATS_##KIND},
                LAUNCHER_METRICS(X)
#undef X
#define X(name, KIND) {"process", #name, STATS_##KIND},
                    MEMBER_METRICS(X)
#undef X
#define X(NAME, name, KIND) {"store", #name, STATS_##KIND},
                        STORE_METRICS(X)
#undef X
#define X(NAME, name, KIND, value) {"worker", #name, STATS_##KIND},
                            WORKER_METRICS(X)
#undef X
#define X(status, text) {"worker", "http_" #status, STATS_COUNTER},
                                HTTP_STATUSES(X)
#undef X
#define X(NAME, name, text) {"worker", "handler_fault_" #name, STATS_COUNTER},
                                    VALIDATED_FAULTS(X)
#undef X
#define C(NAME, name) {"worker", "sensors_" #name, STATS_COUNTER},
                                        SENSORS_COUNTS(C)
#undef C
#define X(NAME, name) {"worker", #name, STATS_HISTOGRAM},
                                            WORKER_HISTOGRAMS(X)
#undef X
};

static void every_metric_has_its_text(void **state)
{
    (void)state;
    unsigned missing = 0;
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        const struct metric_text *text = metric_text_find(metrics[i].role, metrics[i].name);
        if (text == NULL || text->kind != metrics[i].kind) {
            missing++;
            print_error("%s %s: %s in common/stats/metric_texts_*.h\n", metrics[i].role, metrics[i].name,
                        text == NULL ? "no text" : "another kind");
        }
    }
    assert_int_equal(missing, 0);
}

static bool exists(const struct metric_text *text)
{
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
        if (strcmp(metrics[i].role, text->role) == 0 && strcmp(metrics[i].name, text->name) == 0)
            return true;
    return false;
}

static int compare(const struct metric_text *a, const struct metric_text *b)
{
    int role = strcmp(a->role, b->role);
    return role != 0 ? role : strcmp(a->name, b->name);
}

static void every_text_has_its_metric(void **state)
{
    (void)state;
    const struct metric_text *text, *before = NULL;
    for (size_t i = 0; (text = metric_text_at(i)) != NULL; i++, before = text) {
        if (!exists(text))
            fail_msg("%s %s: a text without a metric", text->role, text->name);
        if (before != NULL && compare(before, text) >= 0)
            fail_msg("%s %s stands in the wrong place", text->role, text->name);
        if (metric_text_find(text->role, text->name) != text)
            fail_msg("%s %s is not found", text->role, text->name);
    }
}

/* One sentence, or two, in plain ASCII, that fits a table and a line of `noria stats --explain`. */
static void every_text_is_one(void **state)
{
    (void)state;
    const struct metric_text *text;
    for (size_t i = 0; (text = metric_text_at(i)) != NULL; i++) {
        size_t len = strlen(text->text);
        if (len < 8 || len > 180 || strchr(".)", text->text[len - 1]) == NULL || strlen(text->alarm) > 40)
            fail_msg("%s %s: \"%s\"", text->role, text->name, text->text);
        for (const char *c = text->text; *c != '\0'; c++)
            if (*c < ' ' || *c > '~' || *c == '|')
                fail_msg("%s %s: \"%s\"", text->role, text->name, text->text);
    }
}

/* A name must not read as a part of another family, and each family's name belongs to one metric. */
static void names_do_not_clash(void **state)
{
    (void)state;
    static const char *const reserved[] = {"_total", "_bucket", "_sum", "_count", "_seconds"};
    char one[METRIC_NAME_MAX + 1], other[METRIC_NAME_MAX + 1];
    const struct metric_text *text, *next;
    for (size_t i = 0; (text = metric_text_at(i)) != NULL; i++) {
        size_t len = strlen(text->name);
        for (size_t k = 0; k < ARRAY_LEN(reserved); k++)
            if (len > strlen(reserved[k]) && strcmp(text->name + len - strlen(reserved[k]), reserved[k]) == 0)
                fail_msg("%s %s: such an end is reserved", text->role, text->name);
        metric_family_name(one, text->role, text->name, text->kind);
        for (size_t k = i + 1; (next = metric_text_at(k)) != NULL && strcmp(next->role, text->role) == 0;
             k++) {
            metric_family_name(other, next->role, next->name, next->kind);
            assert_string_not_equal(one, other);
        }
    }
}

static char *read_all(FILE *file)
{
    static char text[2][512 * 1024];
    static unsigned turn;
    assert_non_null(file);
    char *into = text[turn++ % 2];
    into[fread(into, 1, sizeof text[0] - 1, file)] = '\0';
    return into;
}

static void the_page_in_the_tree_is_current(void **state)
{
    (void)state;
    FILE *page = popen(NORIA_PROGRAM " metrics-page", "r"),
         *file = fopen(NORIA_TREE "/deploy/METRICS.md", "r");
    const char *is = read_all(file), *should = read_all(page);
    assert_int_equal(pclose(page), 0);
    fclose(file);
    if (strcmp(is, should) != 0)
        fail_msg("deploy/METRICS.md differs from the table: noria metrics-page > deploy/METRICS.md");
}

/* Whatever the rules for Prometheus name is a metric of ours. */
static void the_alert_rules_name_what_there_is(void **state)
{
    (void)state;
    FILE *file = fopen(NORIA_TREE "/deploy/conf/alerts.yaml", "r");
    char *text = read_all(file), *at = text;
    unsigned named = 0;
    fclose(file);
    while ((at = strstr(at, "noria_")) != NULL) {
        char name[128], family[METRIC_NAME_MAX + 1];
        size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
        snprintf(name, sizeof name, "%.*s", (int)len, at);
        at += len;
        bool known = strcmp(name, "noria_process_up") == 0 || strcmp(name, "noria_scrape_segments") == 0;
        const struct metric_text *metric;
        for (size_t i = 0; !known && (metric = metric_text_at(i)) != NULL; i++) {
            metric_family_name(family, metric->role, metric->name, metric->kind);
            size_t n = strlen(family);
            known = strcmp(name, family) == 0 ||
                    (metric->kind == STATS_HISTOGRAM && strncmp(name, family, n) == 0 &&
                     strcmp(name + n, "_bucket") == 0);
        }
        if (!known)
            fail_msg("deploy/conf/alerts.yaml: there is no %s", name);
        named++;
    }
    assert_true(named > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_has_its_text),
        cmocka_unit_test(every_text_has_its_metric),
        cmocka_unit_test(every_text_is_one),
        cmocka_unit_test(names_do_not_clash),
        cmocka_unit_test(the_page_in_the_tree_is_current),
        cmocka_unit_test(the_alert_rules_name_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
