/* conf: hostile files cost little and do no harm. */
#include "conf_files.h"

#include <time.h>

static double cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void refuses_quickly(char *text, size_t len, const char *needle)
{
    struct conf *conf;
    double start = cpu_seconds();
    assert_int_equal(load_bytes(text, len, &conf), ERR_CONFIG);
    double took = cpu_seconds() - start;
    if (strstr(conf_told, needle) == NULL)
        fail_msg("expected \"%s\", told: %.300s", needle, conf_told);
    if (took > 10) /* CPU time, under sanitizers and valgrind; natively each takes under 0.3 s (README) */
        fail_msg("took %.1f s", took);
    free(text);
}

/* `unit` repeated up to `size` bytes, after `head`. */
static char *repeated(const char *head, const char *unit, size_t size, size_t *len)
{
    char *text = malloc(size);
    size_t n = strlen(unit);
    *len = strlen(head);
    memcpy(text, head, *len);
    while (*len + n <= size) {
        memcpy(text + *len, unit, n);
        *len += n;
    }
    return text;
}

static void hostile_files_cost_little(void **state)
{
    (void)state;
    struct conf *conf;
    refuses("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
            "2: b: uses a YAML alias (*name), which is not supported\n");
    refuses("log: &x {level: info}\nring:\n  <<: *x\n",
            "3: ring: uses a YAML alias (*name), which is not supported\n");
    size_t len;
    char *text = repeated("x: ", "[", MIB, &len);
    refuses_quickly(text, len, "is nested deeper than any setting");
    text = repeated("x: ", "{a: ", MIB, &len);
    refuses_quickly(text, len, "is nested deeper than any setting");
    text = repeated("x:\n", "- ", MIB, &len);
    refuses_quickly(text, len, "is nested deeper than any setting");
    text = repeated("", "? ", MIB, &len);
    refuses_quickly(text, len, "found a mapping or list as a key");
    text = repeated("x: [", "a,", MIB, &len);
    refuses_quickly(text, len, "holds more values than any configuration needs");
    text = repeated("", "a: &b c\n", MIB / 2, &len);
    refuses_quickly(text, len, "and 65486 more problems");
    text = repeated("", "port: 1\n", MIB / 2, &len);
    refuses_quickly(text, len, "is an unknown key");
    text = repeated("machines:\n", "- {}\n", MIB, &len);
    refuses_quickly(text, len, "holds more values");
    text = repeated("machines:\n", "- {}\n", MIB / 4, &len);
    refuses_quickly(text, len, "and 104803 more problems");
    text = repeated("handlers:\n", "- {}\n", MIB / 4, &len);
    refuses_quickly(text, len, "more entries found, expected a list of at most 64 entries");
    text = repeated("endpoints:\n", "- {}\n", MIB / 4, &len);
    refuses_quickly(text, len, "more entries found, expected a list of at most 256 entries");
    text = repeated("handlers:\n- command: [", "x,", MIB / 8, &len);
    refuses_quickly(text, len, "is not YAML");
    text = repeated("endpoints:\n- path: /", "a/", MIB, &len);
    refuses_quickly(text, len, "is not a path (1 to 64");
    text = repeated("", "%TAG !a! b\n", MIB, &len);
    refuses_quickly(text, len, "uses a YAML directive");
    text = repeated("--- a\n", "%TAG !a! b\n", MIB, &len);
    refuses_quickly(text, len, "uses a YAML directive");
    text = repeated("a: ", "!", MIB, &len);
    refuses_quickly(text, len, "a: is an unknown key");
    text = repeated("a: ", "'' ", MIB, &len);
    refuses_quickly(text, len, "is not YAML");
    text = repeated("a: \"", "\\n", MIB, &len);
    refuses_quickly(text, len, "is not YAML");
    text = repeated("", "x", MIB + 1, &len);
    refuses_quickly(text, len, "is longer than 1048576 bytes");
    text = repeated("a: b\n", "\n", MIB + 1, &len);
    refuses_quickly(text, len, "is longer than 1048576 bytes");
    text = repeated("log: {level: info}\n", "# comment\n", MIB, &len);
    assert_int_equal(load_bytes(text, len, &conf), ERR_OK);
    conf_free(&conf);
    free(text);
}

/* Random damage to a good file must never do more than refuse it. */
static void damaged_files_do_no_harm(void **state)
{
    (void)state;
    static const char good[] =
        "runtime_dir: /tmp/x\nlog: {level: debug}\nwebsocket:\n  allowed_origins: [\"http://a\"]\n"
        "listeners:\n  - {name: a, port: 9001}\nmachines:\n  - id: \"m\\x31\"\n    ip: 1.1.1.1\n"
        "    simulator: true\n  - {id: m2, ip: 1.1.1.2, poll_moving_ms: 20}\n"
        "bridges:\n  - {from: states, stream: h, machines: [m1]}\n"
        "handlers:\n  - {name: h, command: [./x, \"-v\"]}\n  - {name: s, socket: /s}\n"
        "endpoints:\n  - {path: /e, handler: h, schema: /etc/passwd}\n  - {path: /f, handler: s}\n";
    static const char marks[] = "{}[]:,-?&*!|>'\"%@`#\n \t\\\0\xff~0";
    unsigned seed = 20261122;
    for (int round = 0; round < 3000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        size_t changes = 1 + (size_t)rand_r(&seed) % 4, len = sizeof good - 1;
        for (size_t i = 0; i < changes; i++)
            text[(size_t)rand_r(&seed) % len] = marks[(size_t)rand_r(&seed) % (sizeof marks - 1)];
        if (round % 8 == 0)
            len = (size_t)rand_r(&seed) % len;
        struct conf *conf;
        if (load_bytes(text, len, &conf) == ERR_OK)
            conf_free(&conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_files_cost_little),
        cmocka_unit_test(damaged_files_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
